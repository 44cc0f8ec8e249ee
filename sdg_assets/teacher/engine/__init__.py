"""vLLM in this step: the machine it runs on, the engine's process, and the meaning of its errors.

`arguments.py` reads what a card and a deployment ask for. `starting.py` starts the engine that the
hardware needs: `stepped.py` on a CPU, `streamed.py` on a GPU. `backends/engine.py` puts either
behind the `Teacher` protocol.
"""
