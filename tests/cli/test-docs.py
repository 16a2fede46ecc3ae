"""The manual pages contain everything that the program's tables contain."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *


def page(name):
    with open(os.path.join(SRCDIR, "man", name + ".pod"), encoding="utf-8") as f:
        return f.read()


def output(*args):
    status, out, err = run(*args)
    equal(status, 0, err)
    return out


def generated_files_are_the_programs():
    p = subprocess.run([sys.executable, os.path.join(SRCDIR, "scripts", "update-generated"), "--check", ORCD],
                       stdout=subprocess.PIPE, env=ENV)
    check(p.returncode == 0, "run scripts/update-generated:", p.stdout.decode()[:2000])


def every_verb_has_a_page_with_its_options():
    rows = [line.split() for line in output("help", "--list").splitlines()]
    check(len(rows) > 30)
    main_page = page("orcd")
    for row in rows:
        verb = row[0]
        check(re.search(r"B<%s\b" % verb, main_page), "orcd(1) does not name", verb)
        if len(row) == 2:
            text = page("orcd") if verb == "help" else page("orcd-" + verb)
            check("B<%s>" % row[1] in text, "an option is missing on its page:", verb, row[1])


def every_page_belongs_to_a_verb():
    verbs = {line.split()[0] for line in output("help", "--list").splitlines()}
    for name in os.listdir(os.path.join(SRCDIR, "man")):
        m = re.fullmatch(r"orcd-([a-z]+)\.pod", name)
        check(not m or m.group(1) in verbs | {"plugin", "api"}, "a page without a verb:", name)


def every_key_is_in_its_page():
    text = page("orcd.yaml")
    keys = [line.split()[0] for line in output("config", "--list").splitlines()]
    check(len(keys) > 30)
    for key in keys:
        contains(text, "B<%s>" % key)


def every_metric_is_in_its_page():
    text = page("orcd-metrics")
    names = [line.split()[0] for line in output("metrics", "--list").splitlines()]
    check(len(names) > 30)
    for name in names:
        contains(text, "B<%s>" % name)


def every_error_code_is_in_its_page():
    text = page("orcd-api")
    with open(os.path.join(SRCDIR, "lib/http/codes.h"), encoding="utf-8") as f:
        codes = re.findall(r"X\(([A-Z_]+), (\d+), [01]\)", f.read())
    check(len(codes) > 20)
    for code, status in codes:
        contains(text, "=item B<%s> %s\n" % (code, status))


def source(path):
    with open(os.path.join(SRCDIR, path), encoding="utf-8") as f:
        return f.read()


def every_route_is_in_its_page():
    text = page("orcd-api").replace("I<ID>", "ID")
    routes = re.findall(r'\{"(GET|POST|DELETE)", "([^"]+)", ', source("core/api/route-table.c"))
    check(len(routes) > 15)
    for method, path in routes:
        # Of several paths in a row the first alone has the method.
        name = path + "ID" if path.endswith("/") else path
        check(re.search(r"%s(?![a-z0-9/])" % re.escape(name), text), "orcd-api(7) does not name", method, name)


def every_field_of_a_job_is_in_its_page():
    text = page("orcd-api")
    code = source("core/api/params.c") + source("core/api/params-fields.c")
    params = re.findall(r'\{"([a-z_]+)", P_', code) + re.findall(
        r'strcmp\(name, "([a-z_]+)"\)', code[:code.index("static void read_params(")])
    check(len(params) > 15)
    for name in params:
        check(re.search(r"^    %s\b" % name, text, re.M), "orcd-api(7) does not name params.", name)
    top = re.findall(r'strcmp\(name, "([a-z_]+)"\)', code[code.index("static void read_top("):])
    check(len(top) > 6)
    for name in top:
        contains(text, "B<%s>" % name)


def every_type_of_weights_is_in_formats():
    text = source("docs/formats.md")
    types = re.findall(r'^    ROW\((\w+), "(\w+)", (?:QKK?|1), ', source("core/model/quant-types.c"), re.M)
    check(len(types) > 20)
    for constant, name in types:
        number = re.search(r"ORCD_TYPE_%s = (\d+)" % constant, source("include/orcd/plugin.h")).group(1)
        contains(text, "%s (%s)" % (name, number))


def every_page_tells_status_and_examples():
    for name in os.listdir(os.path.join(SRCDIR, "man")):
        if not name.endswith(".pod"):
            continue
        text = page(name[:-4])
        verb = name not in ("orcd.yaml.pod", "orcd-plugin.pod", "orcd-api.pod")
        for head in ["NAME", "DESCRIPTION", "SEE ALSO"] + (["SYNOPSIS", "EXIT STATUS", "EXAMPLES"] if verb else []):
            contains(text, "\n=head1 %s\n" % head)
        # man(7) puts C<> into quotes, which a reader takes for a part of what to type.
        check("C<" not in text, "C<> in place of B<>:", name)


def every_verb_answers_help():
    for verb in {line.split()[0] for line in output("help", "--list").splitlines()}:
        equal(output(verb, "--help"), output("help", verb))
        contains(output(verb, "--help"), "usage: orcd " + verb)
        check("SYSCONFDIR" not in output(verb, "--help"), "a folder is not named:", verb)


def mistakes_point_to_the_help():
    for words, parts in ((("nosuch",), ("unknown verb 'nosuch'", "'orcd --help'")),
                         (("help", "nosuch"), ("unknown verb 'nosuch'", "'orcd --help'")),
                         (("run", "--nosuch=1"), ("unknown option '--nosuch=1'", "'orcd run --help'")),
                         (("run", "-x"), ("unknown option '-x'", "'orcd run --help'")),
                         (("srve",), ("did you mean serve?",)), (("helth",), ("did you mean health?",)),
                         (("run", "--max-token", "3"), ("did you mean --max-tokens?",)),
                         (("serve", "--listn=x"), ("did you mean --listen?",)),
                         (("run", "--json=1"), ("--json does not take a value",)),
                         (("run", "--seed"), ("--seed needs a value: N",)),
                         (("run", "--seed", "x"), ("--seed: 'x': must be a number from 0 to ",)),
                         (("cancel",), ("missing argument JOB", "'orcd cancel --help'")),
                         (("health", "x"), ("unexpected argument 'x'",))):
        status, out, err = run(*words)
        equal((status, out, len(err.splitlines())), (64, "", 1), err)
        for part in parts:
            contains(err, part)


def version_tells_abi_and_options():
    text = output("--version")
    with open(os.path.join(SRCDIR, "include/orcd/plugin.h"), encoding="utf-8") as f:
        header = f.read()
    abi = [re.search(r"ORCD_ABI_%s (\d+)" % n, header).group(1) for n in ("MAJOR", "MINOR")]
    contains(text, "plugin ABI " + ".".join(abi))
    contains(text, "asan=")


def completion_knows_verbs_options_and_keys():
    def complete(*words):
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _orcd; printf "%s\\n" "${COMPREPLY[@]}"'
        p = subprocess.run(["bash", "-c", script, "bash", os.path.join(SRCDIR, "config/orcd.bash"), *words],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
        equal(p.stderr, b"")
        return p.stdout.decode().split()

    equal(complete("orcd", "ser"), ["serve"])
    equal(complete("orcd", "run", "--dea"), ["--deadline"])
    equal(complete("orcd", "serve", "--set", "http.lis"), ["http.listen="])
    equal(complete("orcd", "serve", "--plugin", "m"), ["mock"])
    check("--listen" not in complete("orcd", "run", "--"))
    folder = os.path.join(SRCDIR, "plugins")
    for name in os.listdir(folder):
        if os.path.exists(os.path.join(folder, name, "plugin.map")):
            equal(complete("orcd", "serve", "--plugin", name), [name])


main([generated_files_are_the_programs, every_verb_has_a_page_with_its_options, every_page_belongs_to_a_verb,
      every_key_is_in_its_page, every_metric_is_in_its_page, every_error_code_is_in_its_page,
      every_route_is_in_its_page, every_field_of_a_job_is_in_its_page, every_page_tells_status_and_examples,
      every_type_of_weights_is_in_formats,
      every_verb_answers_help, mistakes_point_to_the_help, version_tells_abi_and_options,
      completion_knows_verbs_options_and_keys])
