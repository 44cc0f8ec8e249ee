"""vLLM in this step: the machine it runs on, the engine's process, and the meaning of its errors.

`starting.py` starts the engine that the hardware needs: `stepped.py` on a CPU, `streamed.py` on a
GPU. `backends/engine.py` puts either behind the `Teacher` protocol.
"""
