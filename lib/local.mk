# liborcd.a: what all daemons share; it knows no model, no job and no plugin.
noinst_LIBRARIES += liborcd.a
liborcd_a_SOURCES =
LIB_LIBS = liborcd.a $(JSONC_LIBS) $(YAML_LIBS) $(MHD_LIBS)

include lib/base/local.mk
include lib/json/local.mk
include lib/http/local.mk
include lib/metrics/local.mk
include lib/client/local.mk
include lib/config/local.mk
include lib/process/local.mk
