"""Libraries and programs that people use with OpenAI's API, as they are: text, streaming, history, errors.
scripts/install-deps --clients installs them; who is not here is skipped."""
import importlib.util
import os
import sys
import tempfile

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
env = os.environ.get("ORCD_CLIENTS_ENV", os.path.join(here, "../../build-check/clients"))
if os.path.exists(os.path.join(env, "packages.txt")) and os.path.realpath(sys.prefix) != os.path.realpath(env):
    python = os.path.join(env, "bin/python3")
    os.execv(python, [python] + sys.argv)

sys.path.insert(0, os.path.join(here, "lib"))
from orcd_api import *  # noqa: E402,F403

SAYS = "The bridge is closed until noon."
PERSON = 'Here it is: ```json {"name": "Ann", "age": 30} ```'
QUESTION, ANSWER, NEXT = "Is the bridge open?", "I will look.", "And now?"
HISTORY = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION},
           {"role": "assistant", "content": ANSWER}, {"role": "user", "content": NEXT}]
KEY = "sk-none-is-needed-here"

missing = [m for m in ("langchain_openai", "litellm", "llama_index", "instructor", "pydantic_ai", "llm")
           if importlib.util.find_spec(m) is None]
if len(missing) == 6:
    print("1..0 # SKIP none of these clients is here (scripts/install-deps --clients)")
    sys.exit(77)

# None of them may ask the network for anything, or leave anything in the home of who runs this.
home = tempfile.TemporaryDirectory()
os.environ.update(HOME=home.name, LLM_USER_PATH=home.name, LITELLM_LOCAL_MODEL_COST_MAP="True", OPENAI_API_KEY=KEY,
                  ANONYMIZED_TELEMETRY="False", NO_PROXY="*")

w = Worker("model.chat_template=chatml", "model.context=1024", "model.slots=2", text=SAYS)
people = Worker("model.chat_template=chatml", "model.context=4096", text=PERSON)
URL = w.url + "/v1"


def client(module, name):
    """A case that needs this package."""
    def with_package(fn):
        if module not in missing:
            case("%s: %s" % (module, name))(fn)
        return fn
    return with_package


def tokens(messages):
    r = w.call("POST", "/tokenize", {"messages": messages})
    equal(r.status, 200, r.body)
    return r.json["count"]


def raises(fn, *words):
    try:
        fn()
    except Exception as e:  # noqa: BLE001
        for word in words:
            check(word in type(e).__name__ + ": " + str(e), (type(e), str(e)))
        return
    raise AssertionError("an error was expected")


def chat_openai(**options):
    from langchain_openai import ChatOpenAI
    return ChatOpenAI(base_url=URL, api_key=KEY, model="mock", max_retries=0, timeout=PATIENCE, **options)


@client("langchain_openai", "text, streaming, history, batches, a prompt that is too long")
def _():
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
    c = chat_openai(stream_usage=True)
    history = [SystemMessage("Be brief."), HumanMessage(QUESTION), AIMessage(ANSWER), HumanMessage(NEXT)]
    r = c.invoke(history)
    equal((r.content, r.usage_metadata["input_tokens"]), (SAYS, tokens(HISTORY)))
    chunks = list(c.stream(history))
    equal("".join(k.content for k in chunks), SAYS)
    check(len([k for k in chunks if k.content]) > 1)
    equal(sum(k.usage_metadata["input_tokens"] for k in chunks if k.usage_metadata), tokens(HISTORY))
    equal([r.content for r in c.batch([QUESTION] * 6)], [SAYS] * 6)
    raises(lambda: c.invoke("word " * 3000), "maximum context length is 1024 tokens")


@client("langchain_openai", "completions, twenty prompts of a batch in one request")
def _():
    from langchain_openai import OpenAI
    c = OpenAI(base_url=URL, api_key=KEY, model="mock", max_retries=0, timeout=PATIENCE)
    equal(c.invoke("hello").strip(), SAYS)
    equal("".join(c.stream("hello")).strip(), SAYS)
    equal([g[0].text.strip() for g in c.generate(["hello %d" % i for i in range(20)]).generations], [SAYS] * 20)


@client("litellm", "text, streaming, history, the window exceeded by its name")
def _():
    import litellm
    litellm.telemetry = False
    where = dict(model="openai/mock", api_base=URL, api_key=KEY, timeout=PATIENCE, num_retries=0)
    r = litellm.completion(messages=HISTORY, **where)
    equal((r.choices[0].message.content, r.usage.prompt_tokens), (SAYS, tokens(HISTORY)))
    said = [k.choices[0].delta.content or "" for k in litellm.completion(messages=HISTORY, stream=True, **where)]
    equal("".join(said), SAYS)
    check(len([s for s in said if s]) > 1)
    raises(lambda: litellm.completion(messages=[{"role": "user", "content": "word " * 3000}], **where),
           "ContextWindowExceededError")
    raises(lambda: litellm.completion(messages=HISTORY, **dict(where, model="openai/nobody")), "NotFoundError", "mock")


@client("llama_index", "text, streaming, history")
def _():
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike
    c = OpenAILike(model="mock", api_base=URL, api_key=KEY, is_chat_model=True, max_retries=0, timeout=PATIENCE,
                   context_window=1024)
    history = [ChatMessage(role=m["role"], content=m["content"]) for m in HISTORY]
    r = c.chat(history)
    equal((r.message.content, r.raw.usage.prompt_tokens), (SAYS, tokens(HISTORY)))
    deltas = [k.delta or "" for k in c.stream_chat(history)]
    equal("".join(deltas), SAYS)
    check(len([d for d in deltas if d]) > 1)
    equal(c.complete(QUESTION).text, SAYS)


@client("instructor", "an object from JSON between marks")
def _():
    import instructor
    import openai
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int
    c = instructor.from_openai(openai.OpenAI(base_url=people.url + "/v1", api_key=KEY, max_retries=0),
                               mode=instructor.Mode.MD_JSON)
    person = c.chat.completions.create(model="mock", response_model=Person, max_retries=0,
                                       messages=[{"role": "user", "content": "Who is it?"}])
    equal((person.name, person.age), ("Ann", 30))


@client("pydantic_ai", "text, streaming, history")
def _():
    import asyncio
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    agent = Agent(OpenAIChatModel("mock", provider=OpenAIProvider(base_url=URL, api_key=KEY)), system_prompt="Be brief.")
    first = agent.run_sync(QUESTION)
    equal(first.output, SAYS)

    async def second():
        async with agent.run_stream(NEXT, message_history=first.all_messages()) as r:
            pieces = [p async for p in r.stream_text(delta=True, debounce_by=None)]
            return pieces, r.usage
    pieces, usage = asyncio.run(second())
    usage = usage() if callable(usage) else usage
    equal("".join(pieces), SAYS)
    check(len(pieces) > 1)
    asked = [dict(m) for m in HISTORY]
    asked[2]["content"] = SAYS
    equal(usage.input_tokens, tokens(asked))


@client("llm", "the program: a prompt, a conversation that goes on, streamed")
def _():
    with open(os.path.join(home.name, "extra-openai-models.yaml"), "w") as f:
        f.write("- model_id: orcd\n  model_name: mock\n  api_base: %s\n" % URL)

    def run(*args):
        r = subprocess.run([sys.executable, "-m", "llm", *args], stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=PATIENCE, env=dict(os.environ))
        equal(r.returncode, 0, r.stderr)
        return r.stdout.decode().strip()
    equal(run("-m", "orcd", "--key", KEY, QUESTION), SAYS)
    equal(run("-m", "orcd", "--key", KEY, "-c", NEXT), SAYS)
    equal(run("-m", "orcd", "--key", KEY, "--no-stream", QUESTION), SAYS)


@case("the workers end cleanly")
def _():
    equal((w.stop(), people.stop()), (0, 0))


main()
