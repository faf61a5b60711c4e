"""The exercises of the third notebook, and what its cells use beside sockets. A check starts servers of its own on free ports, measures
what clients really wait, and stops them.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import socklens as sl

from ..display.lanes import Phase
from .bounded import run, value_of, waiting_place
from .exercise import Exercise, NotAttempted, Wrong
from .judging import callable_, kind, until
from .lanes import Lanes
from .prediction import Prediction

__all__ = [
    "Lanes",
    "brew",
    "come",
    "forgot",
    "fourth",
    "held_up_by",
    "last_of_four",
    "last_wait",
    "patient",
    "settle",
]

SECONDS = 2.0  # the longest that one call of a student's function, or one answer to a client, may take
APART = 0.01  # seconds between two who come


def come(customer: Callable[[str, sl.Address], object], names: Iterable[str], address: sl.Address) -> None:
    """Call ``customer(name, address)`` for every name, each in a thread of its own, and wait until all are back.

    They come in this order, a hundredth of a second apart. What one of them raises is raised here.
    """
    names = list(names)
    with ThreadPoolExecutor(max(len(names), 1)) as threads:
        calls = []
        for name in names:
            calls.append(threads.submit(customer, name, address))
            time.sleep(APART)
    for call in calls:
        call.result()


def settle(server: sl.Server) -> None:
    """Wait, for a second at most, until the server has accepted who comes first, and the rest is in its queue."""
    until(lambda: server.clients, 1.0)


# ── Predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────

_COFFEE = 0.2  # seconds that the notebook's barista needs


def _services(lanes: Lanes, name: str) -> int:
    """How many services one after the other this client's time amounts to."""
    return round(lanes.seconds[name] / _COFFEE)


last_of_four = Prediction(
    "last_of_four",
    question="B is done after 0.2 seconds. And E, who came last of the four?",
    choices={"a": "after 0.2 seconds as well", "b": "after 0.4 seconds", "c": "after about 0.8 seconds"},
    observe=lambda lanes: {1: "a", 2: "b"}.get(_services(lanes, "E"), "c"),
    why="It waits for three services, and then for its own.",
)


def _longest_wait(lanes: Lanes) -> str:
    last = max(lanes.view().lanes, key=lambda lane: lane.done or 0.0)
    spent = {phase: sum(span.end - span.begin for span in last.spans if span.phase is phase) for phase in Phase}
    return "a" if spent[Phase.QUEUE] > spent[Phase.WAITING] else "b"


fourth = Prediction(
    "fourth",
    question="Four customers, a thread for each, three machines. Where does the one who is left over wait?",
    choices={"a": "in the accept queue", "b": "accepted, in a handler of its own"},
    observe=_longest_wait,
    why="It has a thread and a handler. What it lacks is a machine: what has to be shared is still shared.",
)

forgot = Prediction(
    "forgot",
    question="One thread, an event loop, and `time.sleep(0.2)` where `await asyncio.sleep(0.2)` belongs. When is the last one done?",
    choices={
        "a": "after about 0.2 seconds, as before",
        "b": "after about 0.8 seconds",
        "c": "never: the loop is stuck",
    },
    observe=lambda lanes: "a" if max(_services(lanes, name) for name in lanes.seconds) < 3 else "b",
    why="There is one thread, and it sleeps. It cannot even accept.",
)


# ── last_wait: how long does the last of five take? ───────────────────────────────────────────────────────────────────

_SERVICE = 0.1
_CLIENTS = 5


def _judge_last_wait(one: object, threads: object) -> str:
    measured = []
    for mode, predicted in (("one", one), ("threads", threads)):
        if isinstance(predicted, bool) or not isinstance(predicted, int | float):
            raise Wrong(f"For `mode={mode!r}` give a number of seconds; this is {kind(predicted)}.")
        seconds = _measure(mode)
        measured.append(f"{seconds:.2f} s")
        expected = _SERVICE * (_CLIENTS if mode == "one" else 1)
        if min(abs(predicted - seconds), abs(predicted - expected)) > _SERVICE * 0.4:
            raise Wrong(
                f'In `mode="{mode}"` the last of {_CLIENTS} took {seconds:.2f} s, and you said {predicted:g}. {_WHY[mode]}'
            )
    return f"Measured just now: {measured[0]} one at a time, {measured[1]} with threads."


_WHY = {
    "one": "It is served when all who came before it have been, and is done at the end of its own service.",
    "threads": "Nobody waits for anybody else: each has a thread of its own.",
}


def _measure(mode: Any) -> float:
    """How long the last one really took, from its connect to its answer."""
    lanes = Lanes()

    def handler(conn: sl.Connection) -> None:
        conn.recv_line()
        time.sleep(_SERVICE)
        conn.sendall(b"ready\n")

    def customer(name: str, address: sl.Address) -> None:
        with lanes.client(name, address) as conn:
            conn.sendall(b"coffee\n")
            conn.recv_line(timeout=SECONDS)

    with sl.Server(handler, mode=mode) as server, ThreadPoolExecutor(_CLIENTS) as threads:
        list(threads.map(customer, "BCDEF", [server.local_addr] * _CLIENTS))
    return max(lanes.seconds.values())


last_wait = Exercise(
    "last_wait",
    expects=("one", "threads"),
    hint="One at a time, the first is done after one service, the second after two. And with threads: for whom does the fifth wait?",
    solution="""
one = 0.5         # four services before it, and its own
threads = 0.1     # its own
""",
    judge=_judge_last_wait,
)


# ── held_up_by: for whom do they wait? ────────────────────────────────────────────────────────────────────────────────


def _judge_held_up_by(function: object) -> str:
    called = callable_(function)
    for gone in (0, 2):  # clients that have been served before
        with sl.Server(_until_the_end, mode="one") as server, ExitStack() as stack:
            stack.callback(server.stop, 0)
            for _ in range(gone):
                sl.connect(server.local_addr).close()
            until(lambda gone=gone: server.accepted == gone and not server.clients, SECONDS)  # type: ignore[misc]
            crowd = [stack.enter_context(sl.connect(server.local_addr)) for _ in range(4)]
            until(lambda: len(server.clients) == 1, SECONDS)
            result = run(called, server, seconds=SECONDS, release=lambda server=server: server.stop(0))  # type: ignore[misc]
            if result.hung:
                raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
            _compare_address(value_of(result), server, crowd)
    return "Twice three clients waited in the accept queue, and both times you named the one that was being served."


def _until_the_end(conn: sl.Connection) -> None:
    conn.recv_all()


def _compare_address(answer: object, server: sl.Server, crowd: list[sl.Connection]) -> None:
    if answer == crowd[0].local_addr:
        return
    if answer is None:
        raise Wrong("Your function returned None. Return the address.")
    if isinstance(answer, sl.Client | sl.Connection):
        raise Wrong(f"Your function returned {kind(answer)}: nearly. Return its `peer_addr`.")
    if answer == server.local_addr:
        raise Wrong(f"`{answer}` is the server's own address. A client is told by the endpoint on its side.")
    if any(answer == conn.local_addr for conn in crowd):
        raise Wrong(f"`{answer}` is one of those who wait. The one being served is `{crowd[0].local_addr}`.")
    raise Wrong(
        f"Your function returned {kind(answer)}, `{answer}`, which is not the address of a client that is here."
    )


held_up_by = Exercise(
    "held_up_by",
    expects=("held_up_by",),
    hint="The roster, `server.clients`, has those whose handlers are at work. How many can that be in this mode?",
    solution="""
def held_up_by(server):
    return server.clients[0].peer_addr
""",
    judge=_judge_held_up_by,
)


# ── patient: a handler that does not wait for ever ────────────────────────────────────────────────────────────────────

_PATIENCE = 0.3
_QUICK = 1.0  # by then the next one has its answer


def _judge_patient(function: object) -> str:
    called = callable_(function)
    returned: list[object] = []
    server = sl.Server(lambda conn: returned.append(called(conn)), mode="one")
    with server, ExitStack() as stack:
        stack.callback(server.stop, 0)
        prompt = stack.enter_context(sl.connect(server.local_addr))
        prompt.sendall(b"tea\n")
        _expect(prompt, b"ready: tea\n", server, returned, "A client that orders at once")
        slow = stack.enter_context(sl.connect(server.local_addr))
        until(lambda: server.accepted == 2, SECONDS)
        time.sleep(_PATIENCE / 3)
        slow.sendall(b"coffee\n")
        _expect(slow, b"ready: coffee\n", server, returned, "A client that orders after a tenth of a second")
        stack.enter_context(sl.connect(server.local_addr))  # says nothing
        begun = time.monotonic()
        quick = stack.enter_context(sl.connect(server.local_addr))
        quick.sendall(b"water\n")
        _expect(quick, b"ready: water\n", server, returned, "A client behind one that says nothing", _QUICK)
        took = time.monotonic() - begun
    return f"The client behind the silent one had its answer after {took:.2f} s, and who took a moment to order was served as well."


def _expect(
    client: sl.Connection, line: bytes, server: sl.Server, returned: list[object], who: str, seconds: float = SECONDS
) -> None:
    try:
        came = client.recv_line(timeout=seconds)
    except TimeoutError:
        raise Wrong(f"{who} had no answer after {seconds:g} s{_still_there(server, client)}.") from None
    except ConnectionResetError:  # closed before the order was read
        came = b""
    except (OSError, sl.IncompleteReadError) as error:
        raise Wrong(f"{who} should get `{line!r}`, but: {error}") from None
    if came == line:
        return
    if ... in returned:
        raise NotAttempted
    if server.errors:
        raised = server.errors[-1].exception
        raise Wrong(f"{who} was sent away: your function raised {type(raised).__name__}: {raised}")
    if not came:
        raise Wrong(f"{who} was sent away without an answer: your function returned.")
    raise Wrong(f"{who} should get `{line!r}`, but gets `{came!r}`.")


def _still_there(server: sl.Server, client: sl.Connection) -> str:
    here = server.clients
    if here and here[0].peer_addr != client.local_addr:
        return ": it waits in the accept queue, and your function waits for the one before it"
    return ", although its turn has come"


patient = Exercise(
    "patient",
    expects=("patient",),
    hint="`recv_line` takes `timeout=`, in seconds, and raises TimeoutError when it is over. What a handler should do then is to return.",
    solution="""
def patient(conn):
    try:
        order = conn.recv_line(timeout=0.3)
    except TimeoutError:
        return                              # the server closes the connection
    conn.sendall(b"ready: " + order)
""",
    judge=_judge_patient,
)


# ── brew: a slow and a fast client on one event loop ──────────────────────────────────────────────────────────────────

_SLOW = 0.3


def _judge_brew(function: object) -> str:
    called = callable_(function)
    if not inspect.iscoroutinefunction(called):
        raise Wrong("For an event loop the handler has to be `async def`.")
    returned: list[object] = []

    async def noted(conn: sl.Connection) -> None:
        returned.append(await called(conn))

    server = sl.Server(noted)
    with server, ExitStack() as stack:
        stack.callback(server.stop, 0)
        slow, fast = (stack.enter_context(sl.connect(server.local_addr)) for _ in range(2))
        begun = time.monotonic()
        slow.sendall(b"slow\n")
        if not until(
            lambda: any(client.totals.received for client in server.clients) or returned or server.errors, SECONDS
        ):
            raise Wrong("The first client has sent its order, and your function has not read it.")
        fast.sendall(b"fast\n")
        done = _race(server, returned, begun, slow=slow, fast=fast)
    if done["slow"] < _SLOW * 0.8:
        raise Wrong(f"The slow order was ready after {done['slow']:.2f} s. It should take {_SLOW:g} s.")
    if done["fast"] > _SLOW * 0.8:
        raise Wrong(
            f"The fast order was ready only after {done['fast']:.2f} s: it waited for the slow one. On an event loop, a call without "
            "`await`, such as `time.sleep`, stops everybody; `await asyncio.sleep(…)` lets the others go on."
        )
    return f"The fast order was ready after {done['fast']:.2f} s, while the slow one took {done['slow']:.2f} s."


def _race(server: sl.Server, returned: list[object], begun: float, **clients: sl.Connection) -> dict[str, float]:
    """When each got its answer; both are waited for at the same time."""
    done: dict[str, float] = {}
    wrong: list[BaseException] = []

    def wait(name: str, client: sl.Connection) -> None:
        try:
            _expect(client, f"ready: {name}\n".encode(), server, returned, f"The client that orders `{name}`")
            done[name] = time.monotonic() - begun
        except (Wrong, NotAttempted) as why:
            wrong.append(why)

    threads = [threading.Thread(target=wait, args=item, daemon=True) for item in clients.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    return done


brew = Exercise(
    "brew",
    expects=("brew",),
    hint='Read with `await conn.aio.recv_line()`. Only if the order is `b"slow\\n"`: `await asyncio.sleep(0.3)`. Then the answer.',
    solution="""
async def brew(conn):
    order = await conn.aio.recv_line()
    if order == b"slow\\n":
        await asyncio.sleep(0.3)
    await conn.aio.sendall(b"ready: " + order)
""",
    judge=_judge_brew,
)
