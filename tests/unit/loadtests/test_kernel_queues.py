from loadtests.kernel_queues import Fates, unsent

SECOND = 1_000_000_000
#: As /proc/net/tcp has it: a listening socket, one that is full, one of another server, one that is closing.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F90 0100007F:C350 01 00010000:00000000 01:00000018 00000000     0        0 2 2
   2: 0100007F:1F91 0100007F:C351 01 00000001:00000000 00:00000000 00000000     0        0 3 1
   3: 0100007F:1F90 0100007F:C352 04 00000009:00000000 00:00000000 00000000     0        0 4 1
"""


def test_what_waits_for_the_peers_of_one_server_is_read_from_the_kernels_table():
    assert unsent(TABLE, 8080) == {50_000: 65_536}


def test_a_peer_is_full_when_its_queue_changes_for_the_last_time():
    fates = Fates([50_000, 50_001])
    for at, queues in enumerate(
        [{50_000: 1, 50_001: 1}, {50_000: 9, 50_001: 1}, {50_000: 9, 50_001: 1}, {50_000: 9}, {}]
    ):
        fates.look(at * SECOND, queues)
    assert fates.all_gone
    assert fates.full == {50_000: 1 * SECOND, 50_001: 0}
    assert sorted(fates.seconds()) == [3, 3]
