# `make` lists the targets. They install what they need into .venv, test-timm, test-openvino and bench-peers into build, and write
# nothing elsewhere.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= build/demo
TIMM ?= build/timm
OPENVINO ?= build/openvino
PEERS ?= build/peers
DATA ?= ../shared/data
MINUTES ?= 10
READER ?= all
# Tests wait half of the time: for cameras, browsers and processes that start. So there are more than processors.
WORKERS ?= 6
LIB := runtime/page/static/lib/uPlot
UPLOT := 1.6.32
NETWORK ?= runtime/learning/networks/efficientnet-lite0.network

# What an installation in place is made from: when one of these changes, it is made again.
SOURCES := pyproject.toml constraints.txt $(shell find runtime -name '*.[ch]')

# Tests that failed beside others, alone: what passes now depends on how busy the machine is, which is a fault of the test or the code.
AGAIN = echo "Failed beside others; once more, one by one:" && OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v -m "not alone" --last-failed --last-failed-no-failures none

# Otherwise each process that tests start would compile the code again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup network page demo test test-quick test-pythons test-timm test-openvino wheels test-wheels lint format reference docs release soak fleet-chaos fuzz fuzz-page screenshots bench bench-accuracy bench-frame bench-topology bench-delivery bench-coreset bench-alerts-day bench-burn-in bench-light bench-drift bench-learn-on bench-page bench-page-store bench-decisions bench-features bench-dirty bench-fit bench-small-faults bench-peers clean arm64
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.demo: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,demo,page]'
	@touch $@

$(VENV)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,demo,page,fleet,export,cluster,docs,dev]'
	@touch $(VENV)/.demo $@

setup: $(VENV)/.installed  ## install everything into .venv

demo: $(VENV)/.demo  ## make a sample camera clip, learn, watch it live, and check what was published; needs no torch
	$(BIN)/patchedge-export demo $(DEMO) --run --force

test: setup  ## run the tests: WORKERS=6 at a time, then one by one those that measure time or memory
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not alone" || { [ $$? = 1 ] && $(AGAIN); }
	$(BIN)/python -m pytest -m alone

test-quick: setup  ## run all but the slow tests, in a minute
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not alone"

test-pythons: setup  ## install the device half by the line of docs/guide/install.md on each installed Python from 3.10 to 3.13, and use it
	$(BIN)/python -m tests.programs.pythons

$(TIMM)/.installed: $(SOURCES) constraints-timm.txt
	$(PYTHON) -m venv $(TIMM)
	grep -v '^torch==' constraints.txt | cat - constraints-timm.txt > $(TIMM)/constraints.txt
	$(TIMM)/bin/pip install --quiet --disable-pip-version-check -c $(TIMM)/constraints.txt -e '.[cpu,export,timm,dev]'
	@touch $@

test-timm: $(TIMM)/.installed  ## run the tests of timm networks, with the torch that torchvision matches
	$(TIMM)/bin/python -m pytest tests/network/test_timm.py

$(OPENVINO)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(OPENVINO)
	$(OPENVINO)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[openvino,cluster,dev]' scikit-learn
	@touch $@

test-openvino: $(OPENVINO)/.installed  ## run the tests of OpenVINO as provider, with the ONNX Runtime that has it
	$(OPENVINO)/bin/python -m pytest tests/inference/test_openvino.py tests/inference/test_provider*.py \
		tests/inference/test_batches.py tests/tools/test_bench_providers.py

wheels: setup  ## wheels of patchedge and hnswlib, and all they need, into build/wheelhouse; aarch64 emulated, as root
	$(BIN)/python -m tests.programs.wheels.run $(WHEELS_OPTIONS)

test-wheels: setup  ## install from build/wheelhouse in empty roots without compiler and network, score a frame; as root
	$(BIN)/python -m tests.programs.wheels.prove --demo $(DEMO) $(WHEELS_OPTIONS)

lint: setup  ## ruff, mypy (strict), import-linter (rooms, no cycles), sizes of modules and folders, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/lint-imports
	$(BIN)/python -m tests.programs.house
	$(BIN)/codespell *.md docs examples .github edge_config runtime export patchedge

format: setup  ## let ruff format the code
	$(BIN)/ruff format .

reference: setup  ## write the pages of docs/reference that come from the code
	$(BIN)/python -m docs.generate

page:  ## fetch uPlot from npm and compare it with the copy in the page, byte for byte
	rm -rf build/uplot && mkdir -p build/uplot
	cd build/uplot && npm pack --silent uplot@$(UPLOT) && tar -xzf uplot-$(UPLOT).tgz
	cd build/uplot/package && cp LICENSE dist && cd dist && sha256sum --check $(CURDIR)/$(LIB)/SHA256SUMS
	for file in LICENSE uPlot.esm.js uPlot.min.css; do cmp build/uplot/package/dist/$$file $(LIB)/$$file || exit 1; done

network: setup  ## make the network file of the package again, byte for byte: needs torch
	$(BIN)/patchedge-export network --out $(NETWORK) --force

docs: setup  ## build the pages of docs/ into build/docs; a warning, such as a broken link, fails
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet -b html docs build/docs

release: setup  ## VERSION=0.2.0: check and build all of it, make a commit and a tag here, publish nothing; RELEASE_OPTIONS=--help
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -c constraints-release.txt build cyclonedx-bom
	$(BIN)/python -m tests.programs.release.run $(or $(VERSION),$(error say which: make release VERSION=0.2.0)) $(RELEASE_OPTIONS)

soak: setup  ## inject faults of all kinds into the real runtime, and print a table; MINUTES=10, SOAK_OPTIONS=--help
	$(BIN)/python -m tests.programs.soak.run --minutes $(MINUTES) $(SOAK_OPTIONS)

fleet-chaos: setup  ## roll bundles out to 200 devices over three NATS servers while all of it fails (10 minutes); FLEET_OPTIONS=--help
	$(BIN)/python -m tests.programs.fleet.run $(FLEET_OPTIONS)

fuzz: setup  ## fuzz all readers with atheris, MINUTES=10 each; READER=manifest for one of them
	$(BIN)/pip install --quiet --disable-pip-version-check 'atheris==3.0.0'
	$(BIN)/python -m tests.programs.fuzz.run $(READER) --minutes $(MINUTES)

fuzz-page: setup  ## send the page what its API's description allows and forbids, with schemathesis, MINUTES=10
	PATCHEDGE_FUZZ_SECONDS=$$((60 * $(MINUTES))) $(BIN)/python -m pytest --timeout=0 tests/page/browser/test_api_fuzzed.py

screenshots: setup  ## after make demo: take the pictures of the page that the guide shows, in Chromium
	$(BIN)/python -m tests.programs.screenshots $(DEMO) docs/images/page

bench: setup  ## measure accuracy, alerts and speed on the real pictures in DATA, from published scores
	$(BIN)/python -m tests.programs.bench.accuracy $(DATA)

bench-frame: setup  ## time of a frame beside the bare network: fixed camera, pictures in random order, belt (20 minutes)
	$(BIN)/python -m tests.programs.bench.frame $(DATA) build/frame

bench-topology: setup  ## cost of processes beside threads of one process; after bench-frame, on its bundle
	$(BIN)/python -m tests.programs.bench.topology build/frame/office.bundle build/frame/sources/office

bench-delivery: setup  ## count alerts while everything is killed (6 minutes); DELIVERY_OPTIONS=--help
	$(BIN)/python -m tests.programs.bench.delivery $(DELIVERY_OPTIONS)

bench-coreset: setup  ## coreset selection against the plain loop, and a million patches within 4 GiB
	$(BIN)/python -m tests.programs.bench.coreset

bench-light: setup  ## what tolerances for light, shift, rotation and focus do on a real camera; LIGHT_OPTIONS=--help
	$(BIN)/python -m tests.programs.bench.light $(DATA) build/light $(LIGHT_OPTIONS)

bench-drift: setup  ## is drift noticed before the first false alert, and only then? keeps scores in build/drift (an hour)
	$(BIN)/python -m tests.programs.bench.drift $(DATA) build/drift $(DRIFT_OPTIONS)
bench-learn-on: setup  ## teach the office its changed shelf and the belt a label, and see what is still found (half an hour)
	$(BIN)/python -m tests.programs.bench.learn_on $(DATA) build/learn-on

bench-page: setup  ## after make demo: what viewers cost the device, memory of the page, first paint (6 minutes)
	$(BIN)/python -m tests.programs.bench.page $(DEMO) $(PAGE_OPTIONS)

bench-page-store: setup  ## a simulated day of ten cameras in the page's store: disk, memory, speed (2 minutes)
	$(BIN)/python -m tests.programs.bench.page_store

bench-alerts-day: setup  ## does the promise of alerts a day hold? scores two hours of video into build/alerts-day, once (20 minutes)
	$(BIN)/python -m tests.programs.bench.alerts_day $(DATA) build/alerts-day

bench-burn-in: setup  ## does a burn-in keep the wanted number of alerts a day? simulated scores (20 minutes)
	$(BIN)/python -m tests.programs.bench.burn_in

bench-accuracy: setup  ## fit and evaluate over size, coreset, precision and layers: hours; can be stopped and resumed
	$(BIN)/python -m tests.programs.bench.table $(DATA) build/accuracy.jsonl

bench-fit: setup  ## time and memory of a fit on 2,156 pictures; FIT_OPTIONS=--help
	$(BIN)/python -m tests.programs.bench.large_fit $(DATA) build/large-fit $(FIT_OPTIONS)

bench-dirty: setup  ## plant pictures of faults among the normal ones: are they named, does the threshold hold? (hours; resumes)
	$(BIN)/python -m tests.programs.bench.dirty $(DATA) build/dirty.jsonl

bench-features: setup  ## centring, scaling, spacing, bank and k on the real pictures, in torch: minutes on a GPU, else hours
	$(BIN)/python -m tests.programs.bench.features $(DATA) build/features.jsonl

bench-small-faults: setup  ## scratches on 12-megapixel pictures, as one input and in tiles (1 GB of disk, 20 minutes)
	$(BIN)/python -m tests.programs.bench.small_faults --work build/small-faults

bench-decisions: setup  ## fit and judge the real pictures with the defaults: do the floors hold? DECISIONS_OPTIONS=--help
	$(BIN)/python -m tests.programs.bench.decisions $(DATA) build/decisions.jsonl $(DECISIONS_OPTIONS)

$(PEERS)/.installed: $(SOURCES) constraints-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -c constraints-peers.txt -e '.[cpu,export,timm]' \
		anomalib openvino
	@touch $@

bench-peers: $(PEERS)/.installed $(OPENVINO)/.installed  ## compare with anomalib in one run, into its page and chart; installs 2.5 GB; PEERS_OPTIONS=--help
	$(PEERS)/bin/python -m tests.programs.bench.peers $(DATA) --work $(PEERS) --openvino $(OPENVINO)/bin/python --docs docs $(PEERS_OPTIONS)

arm64: setup  ## after make wheels: build and run Dockerfile.arm64 under emulation, compare scores; as root, half an hour; ARM64_OPTIONS=--help
	$(BIN)/python -m tests.programs.arm64.run --demo $(DEMO) $(ARM64_OPTIONS)

clean:  ## remove everything that the other targets made
	rm -rf $(VENV) build runtime/*/*.so .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
