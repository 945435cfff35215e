"""hadumpd is killed while its twin of a domain exists: the next one destroys it, and only it.

Parameters: memory (MiB).
"""

from hadump_lab.guest import GuestConfig
from hadump_lab.host import Host, HostConfig
from hadump_lab.images import STANDARD_KERNEL
from hadump_lab.product import Agent, guest_overlay
from hadump_lab.scenario import Lab
from hadump_lab.waiting import wait_until

OTHER_MIB = 128
SIGKILL_STATUS = 128 + 9


def run(lab: Lab) -> None:
    memory = lab.number("memory", 384)
    host = lab.host(HostConfig(guests_mib=memory + OTHER_MIB + 64))
    agent = Agent(host)
    agent.install()
    guest = host.create_guest(
        GuestConfig("model", memory, overlay=guest_overlay(STANDARD_KERNEL))
    )
    guest.wait_up()
    # Like a leftover in all but its UUID.
    host.exec(
        "printf 'name=\"hadump-twin-other\"\\ntype=\"pvh\"\\nmemory=%d\\nkernel=\"%s\"\\n' "
        f"{OTHER_MIB} {guest.kernel_path} >other.cfg && xl create -p other.cfg"
    )
    left = _kill_with_twin(lab, agent)

    mark = agent.log.mark()
    agent.start()
    agent.log.wait_for("domain .*model.*: watching", 60, mark)
    wait_until(lambda: _twins(host) == ["hadump-twin-other"], 30, "the twins are gone, not others'")
    lab.check(True, f"{left} was destroyed; a domain that only has such a name was not")
    lab.check(guest.state(), "the guest is there")
    host.exec("xl destroy hadump-twin-other")


def _twins(host: Host) -> list[str]:
    names = host.exec("xl list | awk 'NR > 1 {print $1}'").output.split()
    return [name for name in names if name.startswith("hadump-twin-")]


def _kill_with_twin(lab: Lab, agent: Agent) -> str:
    agent.start(kill_at="twin-made")
    agent.wait_ended()
    result = agent.host.finished(agent.job or "")
    lab.check(result and result.status == SIGKILL_STATUS, "hadumpd was killed while its twin existed")
    left = [name for name in _twins(agent.host) if name != "hadump-twin-other"]
    lab.check(len(left) == 1, f"it has left {left}")
    return left[0]
