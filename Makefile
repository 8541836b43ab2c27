# `make` alone lists what there is to make.

TARGET := $(or $(CARGO_TARGET_DIR),target)
PLUGIN := $(TARGET)/release/libgstnextvision.so

# What the installed GStreamer can do beyond 1.22.
FEATURES ?= $(firstword $(foreach v,28 26 24,$(shell pkg-config --atleast-version=1.$v gstreamer-1.0 && echo v1_$v)))
export FEATURES
with_features = --locked $(if $(FEATURES),--features $(FEATURES))

# Where GStreamer looks: the system's folder for root, a package (DESTDIR) or a PREFIX, else the user's own.
pluginsdir = $(shell pkg-config $(if $(PREFIX),--define-variable=prefix=$(PREFIX)) --variable=pluginsdir gstreamer-1.0)
userdir = $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/gstreamer-1.0/plugins
PLUGINDIR ?= $(if $(PREFIX)$(DESTDIR)$(filter 0,$(shell id -u)),$(pluginsdir),$(userdir))

.PHONY: help setup build demo test test-all lint races fuzz bench bench-worker soak isolation overload cycles install uninstall clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Get what the other targets need: system packages, ONNX Runtime
	@scripts/setup

# GStreamer takes every file of a plugin folder that ends with .so for a plugin, and looks into folders below it: hence
# a folder of its own, where ONNX Runtime goes by its soname.
build: setup ## Build the plugin: target/plugin/libgstnextvision.so
	cargo build --release $(with_features)
	@mkdir -p target/plugin
	@ln -sfr $(PLUGIN) target/plugin/libgstnextvision.so
	@ln -sfr $(TARGET)/release/libonnxruntime.so target/plugin/libonnxruntime.so.1

demo: build ## Find objects in several videos at once; pictures go to target/demo
	scripts/demo

test: setup ## Run all tests
	cargo test $(with_features)

test-all: ## Run all tests with GStreamer 1.22, 1.26 and 1.28, each in a root file system of its Debian release; needs root
	for release in bookworm trixie forky; do ci/with-gstreamer $$release make test || exit 1; done

lint: setup ## Check formatting, clippy and the documentation, warnings denied
	cargo fmt --check
	cargo clippy $(with_features) --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc $(with_features) --no-deps

races: setup ## Look for data races: the runtime's tests and a run of everything at once under ThreadSanitizer
	ci/races

fuzz: setup ## Give hostile bytes to each parser and decoder for SECONDS=n
	ci/fuzz $(SECONDS)

bench: setup ## Measure, side by side with the library alone and other ways: BENCH, CASES, ONLY, ROUNDS, see docs/benchmark.md
	cargo bench $(with_features) $(addprefix --bench ,$(BENCH))

# The program of the benchmark, for whom benches/peers/setup builds it: in a root file system of ci/with-gstreamer.
bench-worker: setup
	@mkdir -p target/bench
	worker=$$(cargo bench $(with_features) --bench report --no-run --message-format=json \
		| sed -n 's/.*"executable":"\([^"]*\)".*/\1/p') && ln -sfr "$$worker" target/bench/worker

# What docs/reliability.md tells of.
reliability = cargo run --release --quiet $(with_features) --example reliability --

soak: setup ## Faults at random for MINUTES=n, from SEED=n: nothing may be lost, nothing may grow
	$(reliability) $@

isolation: setup ## Faults of one feed, measured on the others
	$(reliability) $@

overload: setup ## Three times the demand that can be served
	$(reliability) $@

cycles: setup ## Start and stop pipelines CYCLES=n times, in random order
	$(reliability) $@

# Under sudo, which finds no cargo and would leave files of root's, only what is built is installed.
install: $(if $(SUDO_USER),$(PLUGIN),build) ## Install the plugin where GStreamer looks (PLUGINDIR, PREFIX, DESTDIR)
	install -D -m 644 $(PLUGIN) $(DESTDIR)$(PLUGINDIR)/libgstnextvision.so
	install -D -m 644 $(TARGET)/release/libonnxruntime.so $(DESTDIR)$(PLUGINDIR)/libonnxruntime.so.1

$(PLUGIN):
	@echo "$@ is not built: run 'make build' without sudo first" >&2; exit 1

uninstall: ## Remove what `make install` installed
	rm -f $(DESTDIR)$(PLUGINDIR)/libgstnextvision.so $(DESTDIR)$(PLUGINDIR)/libonnxruntime.so.1

clean: ## Remove what was built; ONNX Runtime stays in the cache
	cargo clean
	rm -rf target
