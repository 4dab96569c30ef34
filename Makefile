PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAR := $(BIN)/sar-data
# Prefect is to send nothing home.
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo docs pictures test test-install test-peers test-pythons lint bench bench-full bench-loader bench-train kill fuzz test-faults learn schemas clean

$(VENV)/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  --editable '.[dask,flows,keyring,onnx,remote,scenes,train,webdataset,dev]'
	$(BIN)/python -m pip check
	touch $@ $(VENV)/core

## demo: build a miniature BigEarthNet-S1 in all three formats, verify it, look at it (core only)
demo: export SAR_DATA_BUILDS := demo/builds
demo: $(VENV)/core
	rm -rf demo
	$(SAR) synth bigearthnet-s1 --out demo/raw --count 600 --seed 1
	$(SAR) build bigearthnet-s1 --source demo/raw --out demo/builds --format zarr
	$(SAR) convert zarr --format lmdb
	$(SAR) convert zarr --format webdataset
	$(SAR) verify zarr --full
	$(SAR) verify lmdb --full
	$(SAR) verify webdataset --full
	$(SAR) stats zarr --split train --plot demo/histograms.png
	$(SAR) show zarr --out demo/contact-sheet.png
	$(SAR) report zarr --out demo/report.html
	$(SAR) builds demo/builds
	@echo; echo "Look at demo/report.html, demo/contact-sheet.png and demo/histograms.png. To go on:"
	@echo "  . $(BIN)/activate; export SAR_DATA_BUILDS=demo/builds"
	@echo "  sar-data doctor                          # what this machine has, and what is missing"
	@echo "  sar-data leakage zarr                    # what test shares with train"
	@echo "  sar-data convert zarr --normalize zscore # another sealed build"
	@echo "  sar-data fetch bigearthnet-s1 --to raw   # the real archive; \`datasets\` lists others"
	@echo "  sar-data init DIR                        # images of your own"
	@echo "  pip install -c constraints.txt '.[train]'; sar-data train --help"
	@echo "docs/getting-started.md goes on from here."

## docs: the pages as a site in site/, every link checked (its own extra, not in CI)
docs: $(VENV)/core
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

## pictures: draw docs/pictures anew from miniatures (minutes; the README's needs Chromium)
pictures: $(VENV)/dev
	$(BIN)/python -m tests.pictures

## test: everything that must hold, but for the slow suites below
test: $(VENV)/dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not kill and not learn and not fuzz' -n 2 --dist loadfile

## test-install: run each install line of the pages in an empty environment (gigabytes; not in CI)
test-install:
	$(PYTHON) -m tests.install

## test-pythons: try each Python of pyproject.toml that is here, in an empty environment
test-pythons:
	$(PYTHON) -m tests.install.pythons

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.lengths

## test-peers: read each export and each loader by the package it is for, in environments of their own (gigabytes; not in CI)
test-peers: $(VENV)/dev
	$(BIN)/python -m tests.peers

## kill: kill builds and downloads at watched events, and let them go on
kill: $(VENV)/dev
	$(BIN)/python -m pytest -m kill -s tests/kill tests/download

## fuzz: 20,000 damaged files for each reader
fuzz: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m fuzz -s -n 2 tests

## test-faults: 500 flipped bits, 50 lost and 50 swapped files in each container; 50 sound builds
test-faults: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m fuzz -s -n 2 tests/faults

## learn: train on miniatures and real chips until what was learnt, or was not to be, shows
learn: $(VENV)/dev
	$(BIN)/python -m pytest -m learn -s tests/train

## bench: builds and archives as ratios to `cp -r`, downloads to curl, each in one run
bench: $(VENV)/dev
	$(BIN)/python -m tests.bench.build
	$(BIN)/python -m tests.bench.archives
	$(BIN)/python -m tests.bench.download

## bench-full: scan, split, plan and seal 590,326 records; of BENCH_PATCHES of them (10,000) pixels are packed, too
bench-full: $(VENV)/dev
	$(BIN)/python -m tests.bench.full

## bench-loader: our loader as ratios to a memory map, and its peers on the same samples (tests/bench/peers.py says how)
bench-loader: $(VENV)/dev
	$(BIN)/python -m tests.bench.loader
	$(BIN)/python -m tests.bench.peers

## bench-train: the probe against encoding in every epoch, many heads against one, waiting for data
bench-train: $(VENV)/dev
	$(BIN)/python -m tests.bench.train

## schemas: write schemas/ anew from the models
schemas: $(VENV)/dev
	$(BIN)/python -m sar_data.schemas schemas

clean:
	rm -rf $(VENV) demo site bench-out peers-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
