"""The official OpenAI client against millrace-agent --standalone.

Usage: openai_client_test.py --agent PROGRAM --model FOLDER
Exits with 77 (skipped) when the `openai` package is neither here nor in ${MILLRACE_CACHE:-~/.cache/millrace}/venv-test.
"""

import json
import os
import subprocess
import sys
import threading
import unittest
import urllib.request
from pathlib import Path

import agent_program

START_SECONDS = 120


def use_test_environment():
    """Runs this script again with the Python that has the client, if this one has not."""
    try:
        import openai  # noqa: F401

        return
    except ImportError:
        pass
    cache = Path(os.environ.get("MILLRACE_CACHE", Path.home() / ".cache" / "millrace"))
    python = cache / "venv-test" / "bin" / "python"
    if not python.exists() or Path(sys.prefix) == cache / "venv-test":
        agent_program.skip(f"no Python package openai here, and no {python}; scripts/test.sh installs it")
    os.execv(python, [str(python), *sys.argv])


class Agent:
    """The program on free ports of a loopback address."""

    def __init__(self, program, model):
        command = [program, "--standalone", "--model", model, "--bind", "127.0.0.1", "--port", "0", "--admin-port", "0"]
        command += ["--served-model-name", "tiny", "--log-format", "json", "--tensor", "2", "--expert", "2"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.port = self.admin_port = None
        self.log = []
        self.ready = threading.Event()
        threading.Thread(target=self.read_log, daemon=True).start()
        if not self.ready.wait(START_SECONDS) or self.process.poll() is not None:
            self.process.kill()
            raise RuntimeError("the agent did not start:\n" + "".join(self.log))

    def read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            entry = json.loads(line)
            if entry["msg"] == "agent listens":
                self.port, self.admin_port = entry["port"], entry["admin_port"]
            if entry["msg"] == "engine is ready":
                self.ready.set()
        self.ready.set()  # the process has ended

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
QUESTION = [{"role": "user", "content": "What is 12 + 30?"}]
BRIEF = {"temperature": 0, "max_tokens": 24}


def get_json(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=60) as answer:
        return json.load(answer)


class ClientTest(unittest.TestCase):
    agent = None

    @classmethod
    def setUpClass(cls):
        import openai

        cls.openai = openai
        cls.base = f"http://127.0.0.1:{cls.agent.port}"
        cls.client = openai.OpenAI(base_url=cls.base + "/v1", api_key="none", max_retries=0, timeout=120)

    def chat(self, **more):
        return self.client.chat.completions.create(**{"model": "tiny", "messages": QUESTION, **BRIEF, **more})

    def test_models_are_listed(self):
        models = self.client.models.list().data
        self.assertEqual([model.id for model in models], ["tiny"])
        self.assertEqual(self.client.models.retrieve("tiny").id, "tiny")

    def test_a_chat_is_answered(self):
        answer = self.chat()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertLessEqual(answer.usage.completion_tokens, 24)

    def test_a_stream_says_what_the_answer_says(self):
        whole = self.chat(n=1)
        content, reasoning, finish, usage = "", "", None, None
        for chunk in self.chat(stream=True, stream_options={"include_usage": True}):
            if chunk.usage:
                usage = chunk.usage
            for choice in chunk.choices:
                content += choice.delta.content or ""
                reasoning += getattr(choice.delta, "reasoning_content", None) or ""
                finish = choice.finish_reason or finish
        self.assertEqual(content, whole.choices[0].message.content or "")
        self.assertEqual(reasoning, whole.choices[0].message.reasoning_content or "")
        self.assertEqual(finish, whole.choices[0].finish_reason)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_the_streaming_helper_accepts_the_stream(self):
        with self.client.chat.completions.stream(model="tiny", messages=QUESTION, **BRIEF) as stream:
            for _ in stream:
                pass
            try:
                final = stream.get_final_completion()
            except self.openai.LengthFinishReasonError as cut_off:  # the helper's way to say finish_reason "length"
                final = cut_off.completion
        self.assertEqual(final.choices[0].message.role, "assistant")

    def test_thinking_can_be_turned_off(self):
        answer = self.chat(extra_body={"chat_template_kwargs": {"enable_thinking": False}})
        self.assertIsNone(answer.choices[0].message.reasoning_content)

    def test_tools_and_their_results_are_accepted(self):
        first = self.chat(tools=[TOOL], tool_choice="auto")
        self.assertIn(first.choices[0].finish_reason, ("stop", "length", "tool_calls"))
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
        messages = QUESTION + [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        ]
        self.assertTrue(self.chat(messages=messages, tools=[TOOL]).choices)

    def test_logprobs_have_the_shape_of_the_api(self):
        entry = self.chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content[0]
        self.assertEqual(len(entry.top_logprobs), 3)
        self.assertEqual(entry.logprob, entry.top_logprobs[0].logprob)  # greedy
        self.assertLessEqual(entry.logprob, 0)

    def test_a_seed_makes_sampling_repeatable(self):
        def sample(seed):
            return self.chat(temperature=1.0, seed=seed).choices[0].message.model_dump_json()

        self.assertEqual(sample(7), sample(7))

    def test_several_choices(self):
        answer = self.chat(n=3, temperature=1.0, seed=1)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])

    def test_completions(self):
        answer = self.client.completions.create(model="tiny", prompt=["a", "b"], max_tokens=4, temperature=0, logprobs=2)
        self.assertEqual(len(answer.choices), 2)
        tokens = answer.choices[0].logprobs
        self.assertEqual(len(tokens.tokens), len(tokens.token_logprobs))
        text = "".join(c.choices[0].text for c in self.client.completions.create(
            model="tiny", prompt="a", max_tokens=4, temperature=0, stream=True))
        self.assertEqual(text, answer.choices[0].text)

    def test_errors_are_the_clients_own(self):
        with self.assertRaises(self.openai.NotFoundError) as caught:
            self.chat(model="gpt-9")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(self.openai.BadRequestError) as caught:
            self.chat(temperature=-1)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(self.openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "user", "content": "1 " * 5000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(self.openai.BadRequestError) as caught:
            self.chat(response_format={"type": "json_object"})
        self.assertEqual(caught.exception.param, "response_format")

    def test_a_closed_stream_frees_the_engine(self):
        stream = self.chat(stream=True, max_tokens=2000, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        admin = f"http://127.0.0.1:{self.agent.admin_port}/admin/v1/status"
        for _ in range(1000):
            status = get_json(admin)
            if status["in_flight"] == 0 and status["running"] == 0:
                return
        self.fail(f"still running: {status}")

    def test_the_engine_measures_what_was_answered(self):
        answer = self.chat(n=2, temperature=1.0, seed=3)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.agent.admin_port}/metrics", timeout=60) as response:
            lines = dict(line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[0] != "#")
        labels = '{engine="0",model_name="tiny"}'
        for phase in ("queue", "prefill", "decode", "inference"):
            name = f"vllm:request_{phase}_time_seconds"
            self.assertGreaterEqual(int(lines[f"{name}_count{labels}"]), 2)
            self.assertGreater(float(lines[f"{name}_sum{labels}"]), 0)
        generated = int(lines[f"vllm:generation_tokens_total{labels}"])
        self.assertGreaterEqual(generated, answer.usage.completion_tokens)
        self.assertGreaterEqual(int(lines[f"vllm:iteration_tokens_total_sum{labels}"]), generated)

    def test_answers_carry_a_request_id(self):
        self.assertTrue(self.chat()._request_id.startswith("req_"))
        self.assertEqual(self.chat(extra_headers={"X-Request-Id": "mine-1"})._request_id, "mine-1")
        with self.assertRaises(self.openai.BadRequestError) as caught:
            self.chat(temperature=-1, extra_headers={"X-Request-Id": "mine-2"})
        self.assertEqual(caught.exception.request_id, "mine-2")

    def test_fields_for_other_servers_have_no_effect(self):
        plain = self.chat()
        answer = self.chat(user="me", metadata={"a": "b"}, store=True, service_tier="auto", parallel_tool_calls=True,
                           max_completion_tokens=24, extra_body={"brand_new": 1})
        self.assertEqual(answer.choices[0].message, plain.choices[0].message)

    def test_a_stream_of_several_choices_keeps_them_apart(self):
        texts = {0: "", 1: ""}
        for chunk in self.chat(n=2, temperature=1.0, seed=5, stream=True):
            for choice in chunk.choices:
                delta = choice.delta
                texts[choice.index] += (getattr(delta, "reasoning_content", None) or "") + (delta.content or "")
        whole = self.chat(n=2, temperature=1.0, seed=5)
        for choice in whole.choices:
            said = (choice.message.reasoning_content or "") + (choice.message.content or "")
            self.assertEqual(texts[choice.index], said)

    def test_developer_messages_and_content_parts(self):
        messages = [{"role": "developer", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "What is 12 + 30?"}]}]
        same = [{"role": "system", "content": "Be brief."}, QUESTION[0]]
        self.assertEqual(self.chat(messages=messages).choices[0].message, self.chat(messages=same).choices[0].message)

    def test_what_needs_a_grammar_is_refused_by_name(self):
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
        named = {"type": "function", "function": {"name": "get_weather"}}
        for param, fields in [
            ("response_format", {"response_format": schema}),
            ("tool_choice", {"tools": [TOOL], "tool_choice": "required"}),
            ("tool_choice", {"tools": [TOOL], "tool_choice": named}),
        ]:
            with self.assertRaises(self.openai.BadRequestError) as caught:
                self.chat(**fields)
            self.assertEqual(caught.exception.param, param)

    def test_tokens_go_round(self):
        tokens = get_json(self.base + "/tokenize", {"prompt": "Hello"})["tokens"]
        text = get_json(self.base + "/detokenize", {"tokens": tokens})["prompt"]
        self.assertEqual(text, "Hello")

    def test_concurrent_streams_are_independent(self):
        expected = self.chat().choices[0].message.model_dump_json()
        answers = [None] * 8
        def ask(i):
            answers[i] = self.chat().choices[0].message.model_dump_json()
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(answers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(answers), {expected})


def main():
    use_test_environment()
    args = agent_program.arguments()
    ClientTest.agent = Agent(args.agent, args.model)
    passed = agent_program.passes(ClientTest)
    code = ClientTest.agent.stop()
    if code != 0:
        print(f"the agent exited with {code} after SIGTERM")
    sys.exit(0 if passed and code == 0 else 1)


if __name__ == "__main__":
    main()
