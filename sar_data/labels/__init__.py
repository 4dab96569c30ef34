"""Readers of annotation files and nomenclatures, shared by the pipelines."""
