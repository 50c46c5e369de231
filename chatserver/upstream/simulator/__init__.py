"""A simulated Ollama, for trying out, testing and measuring without a model: it speaks the real protocol.

`options` and `faults` say how it behaves · `catalogue` and `vocabulary` what there is to ask · `requests`,
`completions` and `truncation` what becomes of a request · `answers` and `writer` what is said · `runners`
who may speak · `script`, `pace`, `lines` and `player` how it leaves · `serve` runs it. It imports nothing
from the rest of the project.
"""

from chatserver.upstream.simulator.application import create_simulator
from chatserver.upstream.simulator.faults import FAULTS, Fault, parse_fault
from chatserver.upstream.simulator.options import SimulatorOptions
from chatserver.upstream.simulator.serve import run, serve_simulator

__all__ = [
    "FAULTS",
    "Fault",
    "SimulatorOptions",
    "create_simulator",
    "parse_fault",
    "run",
    "serve_simulator",
]
