//! Which sockets are listed and what each option says of them, as `ss` does.

use socktrace_tests::compare::over_population;
use socktrace_tests::wait;

fn check(table: &[&str]) {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check(table);
    });
}

#[test]
fn no_option_and_the_options_of_states_choose_the_same_sockets() {
    check(&[
        "",
        "-n",
        "-a",
        "-l",
        "-an",
        "-ln",
        "-B",
        "-Bn",
        "-al",
        "-la",
        "-aB",
        "-Ba",
        "-lB",
        "-Bl",
        "--all",
        "--listening",
        "--bound-inactive",
        "-anH",
        "-nl -t",
        "-t -a -l",
        "-t -l -a",
        "-t -B -l",
        "-u -B",
        "-x -B",
        "-w -B",
        "-0 -B",
    ]);
}

#[test]
fn tcp_under_every_option_alone() {
    check(&[
        "-t",
        "-tn",
        "-ta",
        "-tan",
        "-tl",
        "-tln",
        "-tB",
        "-tBn",
        "-tane",
        "-tanm",
        "-tani",
        "-tano",
        "-tanp",
        "-tanT",
        "-tanpT",
        "-tanb",
        "-tanH",
        "-tanQ",
        "-tanO",
        "-tanHQ",
        "-tanHO",
        "-tanQO",
        "-tanHQO",
        "-tan --tos",
        "-tan --cgroup",
        "-tan --inet-sockopt",
        "-tan --tipcinfo",
        "-tar",
        "-tanr",
        "-tanrH",
        "-ti",
        "-tm",
        "-to",
        "-te",
        "-tp",
        "-tlnp",
    ]);
}

#[test]
fn tcp_under_options_together() {
    check(&[
        "-tanemio",
        "-tanemioO",
        "-tanempio",
        "-tanempiTO",
        "-taeimo",
        "-tanmO",
        "-taniO",
        "-tanpO",
        "-tane --tos",
        "-tanei --tos --cgroup --inet-sockopt",
        "-taneiO --tos --cgroup --inet-sockopt",
        "-tanm --inet-sockopt",
        "-tani --inet-sockopt",
        "-tanQe",
        "-tanQp",
        "-tanHp",
        "-tanHQOpie",
        "-tlnm",
        "-tlni",
        "-tlne",
        "-tBe",
        "-tBp",
        "-tanT --cgroup",
        "-tie",
        "-tOi",
        "-tOm --tos",
        "-tanb -e",
        "-tano -p",
        "-tanoQO",
    ]);
}

#[test]
fn one_family_of_tcp() {
    check(&[
        "-4tan",
        "-6tan",
        "-46tan",
        "-tan -4",
        "-tan -6",
        "-tan -f inet",
        "-tan -f inet6",
        "-4tane",
        "-6tane",
        "-6tani",
        "-4tani",
        "-6tln",
        "-4tln",
        "-6tB",
        "-4tB",
        "-6tanemioO",
        "-4t",
        "-6t",
        "-4",
        "-6",
        "-4a",
        "-6a",
        "-4n -a",
        "-6n -l",
        "-4l",
        "-6l",
    ]);
}

#[test]
fn udp_and_raw() {
    check(&[
        "-u",
        "-un",
        "-ua",
        "-uan",
        "-ul",
        "-uln",
        "-uane",
        "-uanm",
        "-uano",
        "-uanp",
        "-uanO",
        "-uani",
        "-uanemiop",
        "-4uan",
        "-6uan",
        "-uan --tos",
        "-uan --cgroup",
        "-uan --inet-sockopt",
        "-w",
        "-wn",
        "-wa",
        "-wan",
        "-wl",
        "-wane",
        "-wanm",
        "-wanp",
        "-wanQ",
        "-4wa",
        "-6wa",
        "-wan --tos",
        "-wan --inet-sockopt",
        "-uwan",
        "-uwa",
        "-tuan",
        "-tuwan",
        "-tulpn",
        "-tuwlp",
        "-tulpen",
        "-tunap",
        "-uwanmeO",
    ]);
}

#[test]
fn unix_sockets() {
    check(&[
        "-x",
        "-xn",
        "-xa",
        "-xan",
        "-xl",
        "-xln",
        "-xae",
        "-xam",
        "-xap",
        "-xape",
        "-xaO",
        "-xaH",
        "-xaQ",
        "-xaT",
        "-xai",
        "-xao",
        "-xaemiop",
        "-f unix",
        "-f unix -a",
        "-A unix_stream -a",
        "-A unix_dgram -a",
        "-A unix_seqpacket -a",
        "-A unix_dgram",
        "-A unix_seqpacket",
        "-A u_str,u_seq -a",
        "-xa --cgroup",
        "-xa --tos",
        "-xlp",
    ]);
}

#[test]
fn packet_and_netlink_sockets() {
    check(&[
        "-0",
        "-0n",
        "-0a",
        "-0an",
        "-0l",
        "-0ae",
        "-0ap",
        "-0am",
        "-0ab",
        "-0abn",
        "-0abe",
        "-0aO",
        "-0abO",
        "-0aepbm",
        "-0aH",
        "-0aQ",
        "-f link",
        "-f link -a",
        "-A packet_raw -a",
        "-A packet_dgram -a",
        "-A p_raw,p_dgr -an",
        "-f netlink",
        "-f netlink -a",
        "-f netlink -an",
        "-f netlink -ae",
        "-f netlink -ap",
        "-f netlink -am",
        "-f netlink -aemp",
        "-A netlink",
        "-A netlink -n",
        "-f netlink -l",
        "-f netlink -aO",
        "-f netlink -aH",
        "-f netlink -aQ",
        "-A netlink,packet -a",
        "-0a --cgroup",
    ]);
}

#[test]
fn mptcp_and_what_this_kernel_may_lack() {
    check(&[
        "-M",
        "-Mn",
        "-Ma",
        "-Man",
        "-Ml",
        "-Mane",
        "-Manm",
        "-Mani",
        "-Manp",
        "-ManO",
        "-Maneim",
        "-4Man",
        "-6Man",
        "-tMan",
        "-Mani -O",
        "-S",
        "-Sa",
        "-Sani",
        "-d",
        "-da",
        "-dani",
        "--vsock",
        "--vsock -a",
        "--vsock -an",
        "--vsock -ae",
        "--vsock -ap",
        "--xdp",
        "--xdp -a",
        "--xdp -ae",
        "--tipc",
        "--tipc -a",
        "--tipc -a --tipcinfo",
        "-f vsock -a",
        "-f xdp -a",
        "-f tipc -a",
        "-A vsock_stream -a",
        "-A vsock_dgram -a",
        "-A sctp -a",
        "-A dccp -a",
        "-A tipc",
        "-A xdp",
        "-tS -an",
    ]);
}

#[test]
fn queries_by_name() {
    check(&[
        "-A all",
        "-A all -an",
        "-A inet -an",
        "-A tcp -an",
        "-A tcp,udp -an",
        "-A tcp -A udp -an",
        "-A inet,!udp -an",
        "-A all,!unix,!netlink -an",
        "-A '!unix' -a",
        "-A raw -an",
        "-A unix -an",
        "-A packet -an",
        "-A mptcp -an",
        "-A us -a",
        "-A ud -a",
        "-A ux -a",
        "-A u -a",
        "-A t -an",
        "-A p -a",
        "-A d -a",
        "-A w -a",
        "-A udp,!udp",
        "-A us,ud -a",
        "-A v_str -a",
        "-A vs -a",
        "-A nl -a",
        "-A unix_stream,packet_raw -a",
        "--query=tcp -an",
        "--socket=tcp -an",
        "--query tcp -an",
        "--family=inet -an",
        "--family inet6 -an",
        "-f inet -t -an",
        "-f inet -x -a",
        "-f unix -t -a",
        "-4 -x -a",
        "-4 -A unix -a",
        "-6 -A tcp,udp -an",
        "-0 -t -an",
        "-f inet -f inet6 -an",
        "-A tcp -f unix -an",
        "-t -f link -a",
        "-A all,!tcp -ln",
        "-A inet,!tcp,!raw -an",
        "-A netlink -A packet -a",
        "-x -A tcp -an",
        "-A udp -t -an",
        "-4 -0 -an",
    ]);
}

#[test]
fn options_bundled_long_and_abbreviated() {
    check(&[
        "--tcp --all --numeric",
        "--tcp --listening -n",
        "--udp --all -n",
        "--unix --all",
        "--raw --all --numeric",
        "--packet --all",
        "--mptcp --all -n",
        "--ipv4 --tcp -an",
        "--ipv6 --tcp -an",
        "--tcp -an --extended",
        "--tcp -an --memory",
        "--tcp -an --info",
        "--tcp -an --options",
        "--tcp -an --processes",
        "--tcp -an --threads",
        "--tcp -an --no-header",
        "--tcp -an --no-queues",
        "--tcp -an --oneline",
        "--tcp -an --bpf",
        "--tcp --resolve -a",
        "--num --tcp --al",
        "--tc -an",
        "--ud -an",
        "--nu -ta",
        "--exte -tan",
        "--mem -tan",
        "--proc -tan",
        "--inf -tan",
        "--onel -tani",
        "--no-h -tan",
        "--no-q -tan",
        "--cg -tan",
        "--to -tan",
        "--inet -tan",
        "--li -tn",
        "--fam inet -an",
        "--que tcp -an",
        "-nat",
        "-atn",
        "-t -n -a",
        "-t4 -na",
        "-Atcp -an",
        "-finet -tan",
        "-fin -t",
        "-nAtcp -a",
        "--dccp -a",
        "--sctp -a",
        "-tan --",
    ]);
}

#[test]
fn owners_and_contexts() {
    check(&[
        "-tlp",
        "-tlpn",
        "-tlpT",
        "-tlT",
        "-tanpe",
        "-xp",
        "-0p",
        "-ap",
        "-apn",
        "-apne",
        "-aT",
        "-tlpZ",
        "-tlpz",
        "-Z",
        "-z",
        "-tlnpO",
        "-tlnpQ",
        "-tlnpH",
        "-anp -A inet",
        "--processes --threads -tln",
    ]);
}

#[test]
fn everything_at_once() {
    check(&[
        "-ane",
        "-anm",
        "-anO",
        "-anQ",
        "-anHQ",
        "-anHO",
        "-aneO",
        "-anmO",
        "-aniO",
        "-aneimpO",
        "-aneimpob --tos --cgroup --inet-sockopt",
        "-tuanr",
        "-tuar",
        "-aneT",
        "-lnp",
        "-lnpe",
        "-lnempio",
    ]);
}

#[test]
fn the_summary() {
    check(&[
        "-s",
        "-sH",
        "--summary",
        "-s -t",
        "-s -tan",
        "-s -a",
        "-s -4",
        "-s -n",
        "-sx",
        "-s -uan",
        "-sO",
        "-s -l",
    ]);
}

#[test]
fn the_count_of_all_sockets_settles() {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        let case = comparison.case("-s");
        wait::until("the same count of sockets", || {
            let theirs = case.run(comparison.theirs()).stdout;
            let ours = case.run(comparison.ours()).stdout;
            let first = ours.split(|byte| *byte == b'\n').next()?;
            (theirs == ours && first.starts_with(b"Total: ")).then_some(())
        });
    });
}
