"""orcd chat against a mock worker: once, from standard input, in a terminal."""
import os
import pty
import re
import select
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

FAMILY = ("--set", "model.chat_template=qwen3")
THOUGHT = ("--set", "plugin.options.text=<think>why?</think>Because.")
SLOW = ("--set", "plugin.options.token_ms=50")


def one_message_one_answer():
    with Worker(*FAMILY, *THOUGHT) as w:
        equal(run("chat", "-u", w.url, "--message", "hello"), (0, "Because.\n", ""))
        equal(run("chat", "-u", w.url, "--message", "hello", "--show-thinking")[:2], (0, "why?\n\nBecause.\n"))
        equal(run("chat", "-u", w.url, "--message", "hello", "--thinking", "off")[:2], (0, "<think>why?</think>Because.\n"))
        equal(w.stop(), 0)


def standard_input_is_a_message():
    with Worker(*FAMILY, *THOUGHT) as w:
        equal(run("chat", "-u", w.url, stdin=b"hello\nthere\n")[:2], (0, "Because.\n"))
        equal(run("chat", "-u", w.url, "--message", "-", stdin=b"hello")[:2], (0, "Because.\n"))
        equal(w.stop(), 0)


def a_private_worker_answers():
    equal(run("chat", "--plugin", "mock", *FAMILY, *THOUGHT, "--message", "hello"), (0, "Because.\n", ""))


def events_and_options():
    with Worker(*FAMILY) as w:
        def prompt(*args):
            status, out, err = run("chat", "-u", w.url, "--json", "-n", "3", "-s", "7", "--message", "hello", *args)
            equal(status, 0, err)
            events = [json.loads(line) for line in out.splitlines()]
            equal([e["event"] for e in events], ["started", "token", "token", "token", "end"])
            equal(events[0]["data"]["seed"], 7)
            check(events[0]["data"]["job_id"].startswith("chat-"), events[0])
            return events[0]["data"]["prompt_tokens"]
        plain = prompt()
        equal(prompt("--system", "be brief"), plain + len("<|im_start|>system\nbe brief<|im_end|>\n"))
        equal(prompt("--thinking", "off"), plain + len("<think>\n\n</think>\n\n"))
        equal(prompt("--thinking", "on"), plain)
        for bad in (("--thinking", "maybe"), ("-n", "0"), ("-t", "3"), ("--deadline", "soon")):
            status, out, err = run("chat", "-u", w.url, "--message", "x", *bad)
            equal((status, out), (64, ""), bad)
        equal(w.stop(), 0)


def without_a_template_it_says_what_to_set():
    status, out, err = run("chat", "--plugin", "mock", "--message", "hello")
    equal((status, out), (65, ""))
    contains(err, "model.chat_template")
    with Worker() as w:  # in a terminal, before anything is typed
        t = Terminal("-u", w.url)
        contains(t.until("\r\n"), "orcd chat: this model has no chat template: set model.chat_template")
        equal(t.end(), 65)
        equal(w.stop(), 0)


def a_full_context_drops_the_oldest_turns_and_keeps_the_system_message():
    long = "x" * 60
    with Worker(*FAMILY, "--set", "plugin.options.text=yes", "--set", "model.context=400", "--set", "log.format=json") as w:
        t = Terminal("-u", w.url, "--system", "Be brief.", "--max-tokens", "20", "--stats", "off")
        t.until("> ")
        for i in range(6):
            t.say("%d %s\n" % (i, long))
            shown = t.until("\r\n> ")
            contains(shown, "yes")
        contains(shown, "the context is full: the oldest")
        t.say("/quit\n")
        equal(t.end(), 0)
        # One message that is too long by itself is an error, and the conversation goes on without it.
        t = Terminal("-u", w.url, "--max-tokens", "20", "--stats", "off")
        t.until("> ")
        t.say("y" * 500 + "\n")
        contains(t.until("\r\n> "), "CONTEXT_LENGTH_EXCEEDED")
        t.say("short\n")
        contains(t.until("\r\n> "), "yes")
        t.say("/quit\n")
        equal(t.end(), 0)
        equal(w.stop(), 0)
        sizes = [int(n) for n in re.findall(r'"tokens_in":(\d+)', w.stderr())]
        check(max(sizes) <= 380 and sizes[5] == sizes[4] > sizes[0], sizes)


def the_model_is_m_here_too():
    equal(run("chat", "-m", "/nonexistent.gguf", "--message", "x")[0], 66)


class Terminal:
    """orcd chat in a terminal of its own."""

    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(ORCD, [ORCD, "chat", *args], ENV)
        self.seen = ""

    def until(self, part):
        """Returns the output up to and including `part`."""
        while part not in self.seen:
            check(select.select([self.fd], [], [], TIMEOUT)[0], "no output", part, self.seen)
            self.seen += os.read(self.fd, 4096).decode("utf-8", "replace")
        shown, self.seen = self.seen.split(part, 1)
        return shown + part

    def say(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        try:
            while os.read(self.fd, 4096):
                pass
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def a_conversation_in_a_terminal():
    with Worker(*FAMILY, *THOUGHT) as w:
        t = Terminal("-u", w.url)
        t.until("> ")
        t.say("hello\n")
        shown = t.until("\r\n> ")
        contains(shown, "\x1b[2mwhy?\x1b[0m\r\n\r\nBecause.")
        t.say("one\\\ntwo\n")
        contains(t.until("\r\n> "), "Because.")
        t.say("/reset\n")
        contains(t.until("\r\n> "), "(a new conversation)")
        t.say("\n")
        t.until("> ")
        t.say("/quit\n")
        equal(t.end(), 0)
        t = Terminal("-u", w.url)
        t.until("> ")
        t.say("\x04")
        equal(t.end(), 0)
        # Each turn sends the whole conversation, so its prompt is longer than the one before.
        sizes = [int(n) for n in re.findall(r'"tokens_in":(\d+)', w.stderr())]
        equal(len(sizes), 2)
        equal(sizes[1] - sizes[0], len("Because.<|im_end|>\n<|im_start|>user\none\ntwo<|im_end|>\n<|im_start|>assistant\n"))
        equal(w.stop(), 0)


def ctrl_c_cancels_the_answer_not_the_program():
    with Worker(*FAMILY, *SLOW) as w:
        t = Terminal("-u", w.url, "-n", "4000", "-s", "1")
        t.until("> ")
        t.say("\n")  # ThreadSanitizer may lose a signal that comes while a program waits for the first time
        t.until("> ")
        t.say("\x03")  # at the prompt: a new prompt
        t.until("> ")
        t.say("hello\n")
        t.until("hello\r\n")
        check(os.read(t.fd, 1), "no answer")
        t.say("\x03")
        t.until("\r\n> ")
        t.say("/quit\n")
        equal(t.end(), 0)
        equal(w.stop(), 0)  # all that it has to log is there then
        contains(w.stderr(), '"outcome":"CANCELLED"')


def ctrl_c_ends_one_shot():
    with Worker(*FAMILY, *SLOW) as w:
        p = subprocess.Popen([ORCD, "chat", "-u", w.url, "-n", "4000", "--message", "hello"], stdout=subprocess.PIPE, env=ENV)
        check(p.stdout.read(1), "no answer")
        p.send_signal(signal.SIGINT)
        p.stdout.read()
        p.stdout.close()
        equal(p.wait(TIMEOUT), 130)
        equal(w.stop(), 0)


main([one_message_one_answer, standard_input_is_a_message, a_private_worker_answers, events_and_options,
     without_a_template_it_says_what_to_set,
     a_full_context_drops_the_oldest_turns_and_keeps_the_system_message, the_model_is_m_here_too,
     a_conversation_in_a_terminal, ctrl_c_cancels_the_answer_not_the_program,
     ctrl_c_ends_one_shot])
