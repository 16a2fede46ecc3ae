# config: the annotated default file, systemd, completion
EXTRA_DIST += config/orcd.yaml config/orcd.service.in config/orcd-nvidia.service.in config/orcd.sysusers.in config/orcd.tmpfiles.in
bashcompletion_DATA = config/orcd
systemdsystemunit_DATA = config/orcd.service config/orcd@.service config/orcd-nvidia.service
sysusers_DATA = config/orcd.sysusers.conf
tmpfiles_DATA = config/orcd.tmpfiles.conf
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
EXTRA_DIST += config/orcd.bash
CLEANFILES += $(bashcompletion_DATA) $(systemdsystemunit_DATA) $(sysusers_DATA) $(tmpfiles_DATA)

CONFIG_SUBST = $(AM_V_GEN)$(MKDIR_P) config && $(SED) \
	-e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g'
config/orcd.service: $(srcdir)/config/orcd.service.in Makefile
	$(CONFIG_SUBST) $(srcdir)/config/orcd.service.in >$@
# One of several workers: its own configuration and folders.
config/orcd@.service: $(srcdir)/config/orcd.service.in Makefile
	$(CONFIG_SUBST) -e 's|/orcd\.yaml|/orcd/%i.yaml|; s|Directory=orcd$$|Directory=orcd/%i|' \
		-e 's|^Description=.*|Description=orcd language model worker (%i)|' \
		-e 's|%C/orcd|%C/orcd/%i|' $(srcdir)/config/orcd.service.in >$@
config/orcd-nvidia.service: $(srcdir)/config/orcd-nvidia.service.in Makefile
	$(CONFIG_SUBST) $(srcdir)/config/orcd-nvidia.service.in >$@
config/orcd.sysusers.conf: $(srcdir)/config/orcd.sysusers.in Makefile
	$(CONFIG_SUBST) $(srcdir)/config/orcd.sysusers.in >$@
config/orcd.tmpfiles.conf: $(srcdir)/config/orcd.tmpfiles.in Makefile
	$(CONFIG_SUBST) $(srcdir)/config/orcd.tmpfiles.in >$@
# bash looks the completion up by the name of the command.
config/orcd: $(srcdir)/config/orcd.bash
	$(AM_V_GEN)$(MKDIR_P) config && cp $(srcdir)/config/orcd.bash $@

# A configuration that somebody edited stays.
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)'
	test -f '$(DESTDIR)$(sysconfdir)/orcd.yaml' || \
		$(INSTALL_DATA) $(srcdir)/config/orcd.yaml '$(DESTDIR)$(sysconfdir)/orcd.yaml'
uninstall-local:
	if cmp -s $(srcdir)/config/orcd.yaml '$(DESTDIR)$(sysconfdir)/orcd.yaml'; then \
		rm -f '$(DESTDIR)$(sysconfdir)/orcd.yaml'; fi
