# make setup once, then make demo or make test. Everything is below this folder; make clean removes it.
SHELL := /bin/bash
BIN := .venv/bin
export MOLECULE_GLOB := molecule/*/molecule.yml
# Molecule's own choice, below HOME, is shared by all folders of the same name and outlives them.
export MOLECULE_EPHEMERAL_DIRECTORY := $(CURDIR)/.build/molecule
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
SIM := $(BIN)/ansible-playbook -i inventories/sim molecule/shared

.PHONY: setup setup-dev demo test static cluster lint unit stress matrix mutants security-mutants molecule proofs faults bench sim-up sim-down lock clean

setup: .venv/.ready

.venv/.ready: requirements.txt tools/setup tools/find-python files/images/vllm-node-sim/requirements.txt
	tools/setup

# What lint and unit tests need: no package of the distribution, no Docker.
setup-dev: .venv/.dev

.venv/.dev: requirements.txt tools/find-python
	tools/setup --dev

# The main job: a virtual cluster, a model on four ranks, its answer.
demo: sim-up
	$(BIN)/ansible-playbook serve.yml -i inventories/sim -e profile=sim-tiny-tp4

# NODES=2 for fewer nodes, FABRIC_RATE=100mbit for a slow fabric.
sim-up: setup
	@tools/start-docker
	$(SIM)/create.yml

sim-down: setup
	@tools/start-docker
	$(SIM)/destroy.yml

# Two lanes at once; what each prints comes when it has ended.
test: setup
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target static cluster

static:
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory unit

# One cluster and one built image for all scenarios and the benchmarks, which take the cluster away.
cluster:
	$(MAKE) --no-print-directory molecule DESTROY=never
	$(MAKE) --no-print-directory bench

lint: setup-dev
	tools/lint

unit: setup-dev
	$(BIN)/python -m pytest tests/unit
	$(BIN)/python -m pytest tests/engines

# The group's link beside 16 times too much to do, and short of memory: nothing else may run on the machine.
stress: setup-dev
	cd tests/unit/node && $(CURDIR)/$(BIN)/python -m pytest stress_supervisor.py

# Minutes each, so not in `make test`: unit tests and sanity with every ansible-core and Python that is supported.
matrix: setup-dev
	tools/matrix

# Which small damages to the code that decides no unit test notices. FILES="plan/_memory.py …" and SAMPLE=N for less; all of them take two hours.
mutants: setup-dev
	$(BIN)/python tools/mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(FILES)

# Each security default damaged once: its tests must fail. Two minutes.
security-mutants: setup-dev
	$(BIN)/python tools/security-mutants $(RULES)

# DESTROY=never leaves the cluster.
DESTROY := always

# On a cluster of its own: what an interrupted run or another checkout left on this machine goes first.
molecule: setup
	@tools/start-docker
	$(SIM)/destroy.yml
	rm -rf $(MOLECULE_EPHEMERAL_DIRECTORY)
	mkdir -p .build
	set -o pipefail; PATH="$(CURDIR)/$(BIN):$$PATH" molecule test --destroy $(DESTROY) --scenario-name cluster --scenario-name weights --scenario-name mods --scenario-name image 2>&1 | tee .build/molecule.log \
	    || { echo "=== what failed:"; sed 's/\x1b\[[0-9;]*m//g' .build/molecule.log | grep -aE -A14 'fatal: |UNREACHABLE|│ E  |FAILED ' | tail -100; exit 1; }

# Minutes each, so not in `make test`: reboots, the nightly and its timer, rollback, garbage of every kind, a frozen engine core.
proofs: setup
	@tools/start-docker
	$(SIM)/destroy.yml
	rm -rf $(MOLECULE_EPHEMERAL_DIRECTORY)
	PATH="$(CURDIR)/$(BIN):$$PATH" molecule test --scenario-name boot --scenario-name proofs

# The fault matrix, hours in all: rows that docs/faults.jsonl does not have yet. FAULTS="raylet-*,gcs-*", MOMENTS=idle,streams, MINUTES=30,
# AGAIN=1 and NODES=4 choose; RANDOM=50 SEED=1 does as many in a row. The cluster stays.
faults: setup
	@tools/start-docker
	$(SIM)/create.yml
	$(BIN)/python -m tools.faults $(if $(NODES),--nodes $(NODES)) $(if $(FAULTS),--faults '$(FAULTS)') $(if $(MOMENTS),--moments '$(MOMENTS)') \
	    $(if $(MINUTES),--minutes $(MINUTES)) $(if $(AGAIN),--again) $(if $(RANDOM),--random $(RANDOM)) $(if $(SEED),--seed $(SEED))

# Small: it shows that the benchmarks run and that their byte counters hold; times are only printed.
bench: setup
	@tools/start-docker
	$(BIN)/python benchmarks/manifest_hash --mib 256 --rounds 1
	GX10_LAB=fanout_faults.py benchmarks/fanout
	benchmarks/fanout --receivers 3 --files 16 --kib 1024 --only 'ours; parallel'
	benchmarks/fanout --receivers 16 --files 16 --kib 1024 --only 'ours, chain'
	$(SIM)/create.yml
	$(BIN)/python benchmarks/image_distribution --mbit 1000 --layers 1 --mib 32 --change-mib 16 --only 'ours; serial'
	$(SIM)/destroy.yml

# Compile the pinned requirements, without index URLs.
lock: setup
	$(BIN)/uv pip compile -q --no-header --no-annotate --universal --python-version 3.12 --upgrade requirements.in -o requirements.txt
	cd files/images/vllm-node-sim && ../../../$(BIN)/uv pip compile -q --no-header --no-annotate --python-version 3.11 --upgrade \
	    --override overrides.txt requirements.in -o requirements.txt $${PIP_FIND_LINKS:+--find-links $$PIP_FIND_LINKS}

clean: sim-down
	rm -rf .venv .build .sim .cache wheels
