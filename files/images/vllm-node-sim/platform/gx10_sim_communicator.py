"""Communicator of the sim platform; apart from it, because vLLM must be initialised before this import."""

from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


class GlooCommunicator(CpuCommunicator):
    """Ranks are on different nodes: never the shared-memory path."""

    def _all_group_ranks_share_shm_group_name(self) -> bool:
        return False
