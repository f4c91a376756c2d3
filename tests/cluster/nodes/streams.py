#!/usr/bin/env python3
"""Keeps long streamed chats open through a Service, one after the other in each of several threads.

    streams.py URL MODEL THREADS TOKENS LOAD LOG

Begins new ones as long as the file LOAD exists, ends when the last has ended. LOG gets a line for each: when it began and
ended (seconds since the epoch), and "ok" or what was wrong. Exit 1 when one failed: every token must have come.
"""
import http.client
import json
import os
import sys
import threading
import time
import urllib.parse

SILENCE = 60  # seconds without a byte


def body_of(model, tokens):
    return json.dumps({"model": model, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": tokens,
                       "min_tokens": tokens, "ignore_eos": True, "temperature": 0,
                       "messages": [{"role": "user", "content": "Count as far as you can."}]})


def stream(host, model, tokens):
    """Empty when all is well, else what was wrong."""
    connection = http.client.HTTPConnection(host, timeout=SILENCE)
    try:
        connection.request("POST", "/v1/chat/completions", body_of(model, tokens), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            return f"status {response.status}: {response.read(200).decode(errors='replace')}"
        finish, came = None, 0
        for line in response:
            data = line.decode().removeprefix("data:").strip()
            if data == "[DONE]":
                return "" if finish == "length" and came == tokens else f"{came} tokens, finish_reason {finish}"
            if data:
                chunk = json.loads(data)
                if "error" in chunk:
                    return f"error in the stream: {chunk['error']}"
                for choice in chunk["choices"]:
                    finish = choice.get("finish_reason") or finish
                came = (chunk.get("usage") or {}).get("completion_tokens", came)
        return "the stream ended early"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return repr(error)
    finally:
        connection.close()


def main():
    url, model, threads, tokens, load, log = sys.argv[1:]
    host = urllib.parse.urlsplit(url).netloc
    failures = []
    lock = threading.Lock()

    def work(out):
        while os.path.exists(load):
            begin = time.time()
            trouble = stream(host, model, int(tokens))
            with lock:
                print(f"{begin:.2f} {time.time():.2f} {trouble or 'ok'}", file=out, flush=True)
                if trouble:
                    failures.append(trouble)
            if trouble:
                time.sleep(0.5)  # a service that refuses is not to be flooded

    with open(log, "w", encoding="utf-8") as out:
        workers = [threading.Thread(target=work, args=(out,)) for _ in range(int(threads))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
