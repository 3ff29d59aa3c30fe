"""The network between the members of a cluster is cut: leaders that only think they are."""

import json
import time

from administrator import Administrator
from deployment import Pair
from hurting import STREAM, Hurting

_PAIR = Pair("18", "2.15.1-R3")
_RATE = 250


def test_the_stream_is_equal_after_its_leader_was_isolated_again_and_again(deploy, seed, report):
    """Whoever the streamer still reaches meanwhile: the isolated leader alone, which can store nothing and answers questions
    about the stream from what it has; the others, which elect a new one; or all."""
    deployment = deploy(_PAIR)
    hurting = Hurting(deployment, seed)
    nats = deployment.nats
    leaders = []
    try:
        with deployment.sampler() as sampler:
            hurting.streamer.start()
            workload = deployment.workload(_RATE * 60, seed, _RATE).start()
            for reached in ("the leader", "the followers", "all"):
                # What an earlier round held back is stored first: else nothing would be confirmed that could be judged.
                deployment.wait_confirmed()
                leader = hurting.server(is_leader=True)
                leaders.append(leader.folder.name)
                unreached = [proxy for server, proxy in zip(nats.servers, hurting.nats)
                             if reached != "all" and (server is leader) != (reached == "the leader")]
                for proxy in unreached:
                    proxy.cut()
                nats.isolate(leader)
                hurting.strays.aim(hurting.strays.heard + 1, "plain")
                others = [f"nats://127.0.0.1:{server.port}" for server in nats.servers if server is not leader]
                assert hurting.server(is_leader=True, asked=Administrator(",".join(others))) is not leader
                time.sleep(3)
                assert hurting.streamer.running, hurting.streamer.last_words()
                nats.join(STREAM)
                for proxy in unreached:
                    proxy.mend()
            workload.finish()
            deployment.wait_confirmed()
            hurting.strays.settle()
        result = deployment.compare_load(workload, hurting.strays.published)
        positions = sampler.require_truth(deployment.truth.transactions)
    finally:
        hurting.close()
    report(f"{_PAIR}: seed {seed}: leaders isolated: {json.dumps(leaders)}; {len(hurting.strays.published)} strays; {result.compared} events compared, "
           f"{len(result.differences)} differences; {positions} confirmed positions sampled, none early")
