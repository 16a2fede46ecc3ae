# share: the demo model
demodir = $(pkgdatadir)/demo
dist_demo_DATA = share/demo/orcd-demo.gguf share/demo/README.md
EXTRA_DIST += share/demo/golden.json tools/train-demo
