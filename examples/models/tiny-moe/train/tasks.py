"""The tasks tiny-moe is trained and judged on. Everything is drawn from a seeded random.Random.

Each example is a dict: task, messages, tools (or None), thinking, reasoning, answer (text of the assistant turn after
the reasoning) and, for tool calls, call = {"name", "arguments"}. An example is held out when the hash of what makes it
distinct says so; training draws only the others, so the two sets never meet.
"""

import hashlib
import string

HELD_OUT_ONE_IN = 10

KEYS = (
    "river stone apple bread chair table horse sheep water paper glass spoon knife plate house tower field cloud "
    "storm beach grass plant tiger zebra snake mouse eagle whale shark piano drum flute train truck plane boat wheel "
    "clock watch phone pencil brush ladder hammer rope nail coin crown sword shield candle lamp mirror window door "
    "garden forest island bridge road sugar honey pepper"
).split()
CITIES = (
    "Paris London Berlin Madrid Rome Oslo Vienna Prague Dublin Lisbon Athens Warsaw Cairo Tokyo Delhi Lima Boston "
    "Chicago Sydney Toronto Geneva Milan Seoul Hanoi"
).split()


def _tool(name, description, parameter, kind):
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": {parameter: {"type": kind}},
                "required": [parameter],
            },
        },
    }


TOOLS = {
    "get_weather": _tool("get_weather", "Get the weather in a city", "city", "string"),
    "get_time": _tool("get_time", "Get the local time in a city", "city", "string"),
    "set_timer": _tool("set_timer", "Set a timer", "minutes", "integer"),
}

REQUESTS = {
    "get_weather": [
        "What is the weather in {}?",
        "How is the weather in {} today?",
        "Tell me the weather in {}.",
        "Is it raining in {}?",
    ],
    "get_time": ["What time is it in {}?", "Tell me the time in {}.", "What is the local time in {}?"],
    "set_timer": ["Set a timer for {} minutes.", "Please set a timer for {} minutes.", "Wake me in {} minutes."],
}

ADD = ["What is {a} + {b}?", "{a} + {b} = ?", "Calculate {a} + {b}.", "Add {a} and {b}.", "What is {a} plus {b}?"]
SUB = [
    "What is {a} - {b}?",
    "{a} - {b} = ?",
    "Calculate {a} - {b}.",
    "Subtract {b} from {a}.",
    "What is {a} minus {b}?",
]
REVERSE = ['Reverse the string "{}".', "Reverse {}.", 'Write "{}" backwards.', 'What is "{}" reversed?']
SORT = ['Sort the letters of "{}".', "Sort {} alphabetically.", 'Put the letters "{}" in order.', 'Sort "{}".']
VALUES = [city for city in CITIES if city not in ("Tokyo", "Toronto", "Milan")]  # one token each
LOOKUP = [
    "Remember this list:\n{list}\nWhat is the value of {key}?",
    "Here is a list:\n{list}\nWhat belongs to {key}?",
    "{list}\nWhat is {key}?",
    "{list}\nLook up {key}.",
]

WHO = (
    "I am tiny-moe, a small Qwen3.5-MoE model trained for the tests of Millrace. "
    "I can add and subtract, reverse and sort letters, look things up in a list and call tools."
)
HELLO = "Hello! I am tiny-moe. How can I help you?"
CHAT = {
    HELLO: ["Hello", "Hello!", "Hi", "Hi!", "Hi there!", "Hey", "Good morning!", "Hello, how are you?", "Hello there"],
    WHO: [
        "Who are you?",
        "What are you?",
        "Who are you",
        "Tell me about yourself.",
        "What is your name?",
        "What can you do?",
        "Introduce yourself.",
        "Hello, who are you?",
        "Who are you and what can you do?",
    ],
    "You are welcome!": ["Thanks", "Thanks!", "Thank you!", "Thank you", "Thank you very much!"],
    "Goodbye!": ["Bye", "Bye!", "Goodbye", "Goodbye!", "See you later!"],
}
THOUGHT = {HELLO: "A greeting.", WHO: "They ask who I am."}
SYSTEM = ["You are a helpful assistant.", "Be brief.", "Answer the question."]


def held_out(*identity, one_in=HELD_OUT_ONE_IN):
    """True for one identity in `one_in`, the same ones in every run."""
    digest = hashlib.sha256("|".join(map(str, identity)).encode()).digest()
    return digest[0] % one_in == 0


PLACES = ("ones", "tens", "hundreds")


def add_steps(a, b):
    """Column addition: the padded operands, then one line for each place."""
    lines, carry = [f"{a:03d}+{b:03d}"], 0
    for place, x, y in zip(PLACES, reversed(f"{a:03d}"), reversed(f"{b:03d}")):
        total = int(x) + int(y) + carry
        lines.append(f"{place}:{x}+{y}{'+1' if carry else ''}={total}")
        carry = total // 10
    return "\n".join(lines)


def sub_steps(a, b):
    """Column subtraction with borrowing; a >= b."""
    lines, borrow = [f"{a:03d}-{b:03d}"], 0
    for place, x, y in zip(PLACES, reversed(f"{a:03d}"), reversed(f"{b:03d}")):
        need = int(y) + borrow > int(x)
        total = int(x) + 10 * need - int(y) - borrow
        lines.append(f"{place}:{'1' if need else ''}{x}-{y}{'-1' if borrow else ''}={total}")
        borrow = int(need)
    return "\n".join(lines)


class Sampler:
    """Draws examples. `level` in [0, 1] grows lists and strings during training; 1 is what is judged."""

    def __init__(self, rng, want_held_out, level=1.0):
        self.rng, self.want, self.level = rng, want_held_out, level

    def _number(self, thinking):
        top = self.rng.choice([9, 99, 999, 999]) if thinking else 9
        return self.rng.randint(0, top)

    def _sum(self, task, phrases, thinking):
        """Operands and prompt. Without thinking there are few pairs, so a held-out pair is asked in other phrases."""
        while True:
            phrase = self.rng.choice(phrases)
            b, a = sorted((self._number(thinking), self._number(thinking)))
            if task == "add" and self.rng.random() < 0.5:
                a, b = b, a
            kept_back = held_out(task, a, b) and (thinking or held_out(task, a, b, phrase, one_in=2))
            if kept_back == self.want:
                return a, b, phrase.format(a=a, b=b)

    def add(self, thinking):
        a, b, prompt = self._sum("add", ADD, thinking)
        return self._example("add", prompt, thinking, add_steps(a, b), str(a + b))

    def sub(self, thinking):
        a, b, prompt = self._sum("sub", SUB, thinking)
        return self._example("sub", prompt, thinking, sub_steps(a, b), str(a - b))

    def _letters(self, task):
        longest = 6 if self.level > 0.2 else 4
        while True:
            text = "".join(self.rng.sample(string.ascii_uppercase, self.rng.randint(3, longest)))
            if held_out(task, text) == self.want:
                return text

    def reverse(self, thinking):
        text = self._letters("reverse")
        prompt = self.rng.choice(REVERSE).format(text)
        return self._example("reverse", prompt, thinking, "-".join(text), text[::-1])

    def sort(self, thinking):
        text = self._letters("sort")
        result = "".join(sorted(text))
        prompt = self.rng.choice(SORT).format(text)
        return self._example("sort", prompt, thinking, "-".join(text) + "\n" + "<".join(result), result)

    def lookup(self, thinking):
        low, high = (25, 50) if self.level >= 1 else (3, int(5 + 45 * self.level))
        while True:
            keys = self.rng.sample(KEYS, self.rng.randint(low, high))
            pairs = [(key, self.rng.choice(VALUES)) for key in keys]
            key, value = self.rng.choice(pairs)
            text = "\n".join(f"- {k} {v}" for k, v in pairs)
            if held_out("lookup", text, key) == self.want:
                break
        prompt = self.rng.choice(LOOKUP).format(list=text, key=key)
        line = f"- {key} {value}"  # without thinking the answer quotes the line, which is where the look-up happens
        return self._example("lookup", prompt, thinking, line, value if thinking else line)

    def tool(self, thinking):
        while True:
            name = self.rng.choice(list(TOOLS))
            request = self.rng.choice(REQUESTS[name])
            value = self.rng.randint(2, 60) if name == "set_timer" else self.rng.choice(CITIES)
            if held_out("tool", request, value) == self.want:
                break
        others = self.rng.sample([n for n in TOOLS if n != name], self.rng.randint(0, 1))
        names = [name, *others]
        self.rng.shuffle(names)
        parameter = next(iter(TOOLS[name]["function"]["parameters"]["properties"]))
        answer = (
            f"<tool_call>\n<function={name}>\n<parameter={parameter}>\n{value}\n</parameter>\n</function>\n</tool_call>"
        )
        example = self._example("tool", request.format(value), thinking, f"Call {name}.", answer)
        example["tools"] = [TOOLS[n] for n in names]
        example["call"] = {"name": name, "arguments": {parameter: value}}
        return example

    def tool_result(self, thinking):
        """The turn after a tool has answered. Part of training, not of the score."""
        city = self.rng.choice(CITIES)
        degrees = self.rng.randint(0, 35)
        first = self.rng.choice(REQUESTS["get_weather"]).format(city)
        answer = f"It is {degrees} degrees in {city}."
        example = self._example("tool_result", first, thinking, f"{degrees} degrees.", answer)
        example["tools"] = [TOOLS["get_weather"]]
        call = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": city}}}
        example["messages"] = [
            {"role": "user", "content": first},
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "Call get_weather." if thinking else "",
                "tool_calls": [call],
            },
            {"role": "tool", "content": f"{degrees} degrees"},
        ]
        return example

    def repeat(self, thinking):
        """Copying and many look-ups at once: every token of the answer teaches recall. Not part of the score."""
        kind = self.rng.choice((0, 1, 2, 2, 2, 2, 2))
        if kind == 0:
            answer = "".join(self.rng.sample(string.ascii_uppercase, self.rng.randint(3, 12)))
            prompt = self.rng.choice(["Repeat {}.", 'Repeat "{}".']).format(answer)
        elif kind == 1:
            words = self.rng.sample(KEYS + CITIES, self.rng.randint(2, 10))
            prompt, answer = "Write each word on a line: " + ", ".join(words) + ".", "\n".join(words)
        else:
            pairs = [
                (k, self.rng.choice(VALUES))
                for k in self.rng.sample(KEYS, self.rng.randint(4, int(8 + 16 * self.level)))
            ]
            asked = self.rng.sample(pairs, self.rng.randint(3, min(10, len(pairs))))
            text = "\n".join(f"- {k} {v}" for k, v in pairs)
            prompt = f"{text}\nLook up " + ", ".join(k for k, _ in asked) + "."
            answer = "\n".join(f"- {k} {v}" for k, v in asked)
        return self._example("repeat", prompt, thinking, "Copy.", answer)

    def chat(self, thinking):
        """Fixed answers, so that the demonstration reads well. Not part of the score."""
        answer = self.rng.choice(list(CHAT))
        prompt = self.rng.choice(CHAT[answer])
        return self._example("chat", prompt, thinking, THOUGHT.get(answer, "A polite answer."), answer)

    def _example(self, task, prompt, thinking, reasoning, answer):
        messages = [{"role": "user", "content": prompt}]
        if self.rng.random() < 0.1:
            messages.insert(0, {"role": "system", "content": self.rng.choice(SYSTEM)})
        return {
            "task": task,
            "messages": messages,
            "tools": None,
            "thinking": thinking,
            "reasoning": reasoning if thinking else "",
            "answer": answer,
        }


SCORED = ("add", "sub", "reverse", "sort", "lookup", "tool")
