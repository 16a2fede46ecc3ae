# man: POD sources, one page a verb
MAN_PODS = \
	man/orcd.pod man/orcd-run.pod man/orcd-chat.pod man/orcd-cancel.pod man/orcd-health.pod man/orcd-metrics.pod \
	man/orcd-plugins.pod man/orcd-inspect.pod man/orcd-eval.pod man/orcd-config.pod man/orcd-bench.pod \
	man/orcd-api.pod man/orcd-serve.pod man/orcd.yaml.pod man/orcd-plugin.pod
EXTRA_DIST += $(MAN_PODS)

if HAVE_POD2MAN
man_MANS = \
	man/orcd.1 man/orcd-run.1 man/orcd-chat.1 man/orcd-cancel.1 man/orcd-health.1 man/orcd-metrics.1 \
	man/orcd-plugins.1 man/orcd-inspect.1 man/orcd-eval.1 man/orcd-config.1 man/orcd-bench.1 \
	man/orcd-api.7 man/orcd-serve.8 man/orcd.yaml.5 man/orcd-plugin.3
CLEANFILES += $(man_MANS)
endif

SUFFIXES += .pod .1 .3 .5 .7 .8
# Folders are those of configure.
POD_TO_MAN = $(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(SED) -e 's|SYSCONFDIR|$(sysconfdir)|g' -e 's|DOCDIR|$(docdir)|g' -e 's|PLUGINSDIR|$(pluginsdir)|g' $< | $(POD2MAN) --utf8 --errors=die --center=orcd \
	--release='orcd $(VERSION)' --name="`basename $@ | sed 's/\.[0-9]$$//'`"
.pod.1:
	$(POD_TO_MAN) --section=1 - $@
.pod.3:
	$(POD_TO_MAN) --section=3 - $@
.pod.5:
	$(POD_TO_MAN) --section=5 - $@
.pod.7:
	$(POD_TO_MAN) --section=7 - $@
.pod.8:
	$(POD_TO_MAN) --section=8 - $@
