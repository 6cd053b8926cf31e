"""vLLM platform plugin: one CPU rank per Ray node (entry point group ``vllm.platform_plugins``).

vLLM's CPU platform has no Ray resource and ties its ranks to one host's shared memory. Here each
node offers one Ray "GPU" (``ray start --num-gpus=1``) and ranks talk over gloo.
"""

from vllm.platforms.cpu import CpuPlatform


def platform() -> str:
    """Return the class that vLLM should load, as a dotted name."""
    return "gx10_sim_platform.RayCpuPlatform"


class RayCpuPlatform(CpuPlatform):
    """A CPU rank that Ray can place."""

    ray_device_key = "GPU"

    @classmethod
    def device_control_id_to_physical_device_id(cls, device_id: int | str) -> int:
        return int(device_id)

    @classmethod
    def get_device_communicator_cls(cls) -> str:
        return "gx10_sim_communicator.GlooCommunicator"
