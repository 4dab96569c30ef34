"""Self-supervised pretraining: an encoder learns to predict the patches of an image that it does not see."""
