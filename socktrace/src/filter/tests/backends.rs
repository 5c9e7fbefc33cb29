use super::*;

/// What the kernel knows of a socket when it runs a program.
struct Entry {
    family: u8,
    source: (Vec<u8>, u16),
    destination: (Vec<u8>, u16),
    ifindex: u32,
    mark: u32,
    cgroup: u64,
    is_port_chosen: bool,
}

impl Entry {
    fn new(socket: &Inet<'_>, ephemeral: &EphemeralPorts) -> Entry {
        let end = |end: &InetEnd| match end.addr {
            IpAddr::V4(address) => (address.octets().to_vec(), end.port),
            IpAddr::V6(address) => (address.octets().to_vec(), end.port),
        };
        Entry {
            family: if socket.family == Family::Inet { 2 } else { 10 },
            source: end(&socket.local),
            destination: end(&socket.peer),
            ifindex: socket.ifindex,
            mark: socket.ext.mark.unwrap_or(0),
            cgroup: socket.ext.cgroup_id.unwrap_or(0),
            is_port_chosen: !ephemeral.contains(socket.local.port),
        }
    }

    /// Runs a program by the kernel's rules, which are those of the manual page sock_diag(7) and
    /// of `linux/inet_diag.h`.
    fn passes(&self, program: &[u8]) -> bool {
        let mut at = 0;
        while at < program.len() {
            let op = &program[at..];
            let (yes, no) = (usize::from(op[1]), usize::from(u16_at(op, 2)));
            at += if self.holds(op) { yes } else { no };
        }
        at == program.len()
    }

    fn holds(&self, op: &[u8]) -> bool {
        match op[0] {
            0 => true,
            1 => false,
            2 => self.source.1 >= u16_at(op, 6),
            3 => self.source.1 <= u16_at(op, 6),
            4 => self.destination.1 >= u16_at(op, 6),
            5 => self.destination.1 <= u16_at(op, 6),
            6 => !self.is_port_chosen,
            7 => self.has_address(&self.source, &op[4..]),
            8 => self.has_address(&self.destination, &op[4..]),
            9 => self.ifindex == u32_at(op, 4),
            10 => self.mark & u32_at(op, 8) == u32_at(op, 4),
            13 => self.cgroup == u64::from_ne_bytes(op[4..12].try_into().unwrap()),
            code => panic!("unknown instruction {code}"),
        }
    }

    fn has_address(&self, end: &(Vec<u8>, u16), condition: &[u8]) -> bool {
        let (family, length) = (condition[0], usize::from(condition[1]));
        let port = u32_at(condition, 4) as i32;
        if port != -1 && port != i32::from(end.1) {
            return false;
        }
        if family == 0 {
            return true;
        }
        let address = match (family, self.family) {
            (2, 10) => match end.0.strip_prefix(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) {
                Some(v4) => v4,
                None => return false,
            },
            (condition, own) if condition == own => &end.0[..],
            _ => return false,
        };
        (0..length).all(|bit| {
            let mask = 0x80 >> (bit % 8);
            address[bit / 8] & mask == condition[8 + bit / 8] & mask
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Whether the kernel would take the program: operands are whole, every instruction is reached
/// when all hold, and jumps land on instructions or at one of the two ends.
fn is_accepted(program: &[u8]) -> bool {
    let mut starts = std::collections::HashSet::from([program.len(), program.len() + 4]);
    let mut at = 0;
    while at < program.len() {
        starts.insert(at);
        at += usize::from(program[at + 1]);
    }
    let mut at = 0;
    while at < program.len() {
        let op = &program[at..];
        let least = match op[0] {
            0 | 1 | 6 => 4,
            2..=5 | 9 => 8,
            7 | 8 => {
                12 + match op[4] {
                    0 => 0,
                    2 => 4,
                    10 => 16,
                    _ => return false,
                }
            }
            10 | 13 => 12,
            _ => return false,
        };
        let (yes, no) = (usize::from(op[1]), usize::from(u16_at(op, 2)));
        if yes != least || no < least || no % 4 != 0 || !starts.contains(&(at + no)) {
            return false;
        }
        at += yes;
    }
    at == program.len()
}

fn kernel_ops() -> impl Strategy<Value = KernelOps> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(device, mark, cgroup)| KernelOps {
        device,
        mark,
        cgroup,
    })
}

fn through_kernel(pushdown: &Pushdown, socket: &Inet<'_>, around: &Around) -> bool {
    let entry = Entry::new(socket, &around.ports);
    pushdown.bytecode.as_ref().is_none_or(|program| entry.passes(program))
        && pushdown
            .rest
            .as_ref()
            .is_none_or(|rest| around.judge(rest, &Socket::Inet(socket.clone())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn kernel_and_rest_together_say_what_the_whole_says(
        tree in expression(),
        sockets in prop::collection::vec(inet_socket(), 20),
        ops in kernel_ops(),
    ) {
        let around = Around::new();
        let pushdown = compile(&tree, ops);
        if let Some(program) = &pushdown.bytecode {
            prop_assert!(is_accepted(program), "{program:?}");
        }
        for socket in sockets {
            let whole = around.judge(&tree, &Socket::Inet(socket.clone()));
            prop_assert_eq!(through_kernel(&pushdown, &socket, &around), whole, "{}: {:?}", tree, socket);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn what_table_and_state_decide_is_what_the_whole_says(
        tree in expression(),
        sockets in prop::collection::vec(inet_socket(), 20),
    ) {
        let around = Around::new();
        for socket in sockets {
            let socket = Socket::Inet(socket);
            let whole = around.judge(&tree, &socket);
            let reduced = match tree.in_table(socket.table()) {
                Verdict::Known(holds) => holds,
                Verdict::Open(rest) => around.judge(&rest, &socket),
            };
            prop_assert_eq!(reduced, whole, "{}: {:?}", tree, socket);
            let listed = StateSet::CONNECTED;
            if listed.contains(socket.state()) {
                let reduced = match tree.in_states(listed) {
                    Verdict::Known(holds) => holds,
                    Verdict::Open(rest) => around.judge(&rest, &socket),
                };
                prop_assert_eq!(reduced, whole, "{}: {:?}", tree, socket);
            }
            // A TCP socket that is bound and no more is closed in what the kernel tells of it.
            let told = match (socket.table(), socket.state()) {
                (Table::Tcp, State::Close) => StateSet::of(&[State::Close, State::BoundInactive]),
                (_, state) => StateSet::of(&[state]),
            };
            let is_possible = tree.states().is_none_or(|states| states.intersects(told));
            prop_assert!(is_possible || !whole, "{}: {:?}", tree, socket);
        }
    }
}

#[test]
fn what_the_kernel_can_decide_is_left_to_it() {
    for text in ["dport = 22", "not ( src 10/8 or dport > 5 )", "dev lo", "fwmark 1 cgroup /slice"]
    {
        let pushdown = compile(&expr(text), KernelOps::ALL);
        assert!(pushdown.bytecode.is_some(), "{text}");
        assert_eq!(pushdown.rest, None, "{text}");
    }
}

#[test]
fn what_an_old_kernel_cannot_decide_is_judged_here() {
    let pushdown = compile(&expr("dport = 22 and dev lo"), KernelOps::BASIC);
    assert_eq!(pushdown.bytecode, compile(&expr("dport = 22"), KernelOps::ALL).bytecode);
    assert_eq!(pushdown.rest, Some(expr("dev lo")));
}

#[test]
fn a_part_that_the_kernel_knows_half_of_is_sent_weakened() {
    let whole = expr("( dport = 22 and dev lo ) or dport = 80");
    let pushdown = compile(&whole, KernelOps::BASIC);
    let weakened = compile(&expr("dport = 22 or dport = 80"), KernelOps::ALL);
    assert_eq!(pushdown.bytecode, weakened.bytecode);
    assert_eq!(pushdown.rest, Some(whole));
}

#[test]
fn a_filter_too_long_for_the_kernel_is_judged_here() {
    let ports: Vec<String> = (0..10_000).map(|port| format!("sport = {port}")).collect();
    let long = expr(&ports.join(" or "));
    let pushdown = compile(&long.clone().and(expr("dport = 80")), KernelOps::ALL);
    assert_eq!(pushdown.bytecode, compile(&expr("dport = 80"), KernelOps::ALL).bytecode);
    assert_eq!(pushdown.rest, Some(long));
}

/// The bytes that strace showed `ss` to send for the same filters.
#[test]
fn simple_programs_are_those_of_ss() {
    let op = |code: u8, yes: u8, no: u16, operand: &[u8]| {
        let [low, high] = no.to_ne_bytes();
        [&[code, yes, low, high], operand].concat()
    };
    let host = |length: u8, port: i32, address: [u8; 4]| {
        [&[2, length, 0, 0], &port.to_ne_bytes()[..], &address].concat()
    };
    let [low, high] = 22u16.to_ne_bytes();
    let ge = [0, 0, low, high];
    let table = [
        ("sport >= 22", vec![op(2, 8, 12, &ge)]),
        ("autobound", vec![op(6, 4, 8, &[])]),
        ("not autobound", vec![op(6, 4, 8, &[]), op(1, 4, 8, &[])]),
        ("dst 10.0.0.1/24:80", vec![op(8, 16, 20, &host(24, 80, [10, 0, 0, 1]))]),
        (
            "src 1 or autobound",
            vec![op(7, 16, 20, &host(32, -1, [1, 0, 0, 0])), op(1, 4, 8, &[]), op(6, 4, 8, &[])],
        ),
        ("autobound and sport >= 22", vec![op(6, 4, 16, &[]), op(2, 8, 12, &ge)]),
    ];
    for (text, program) in table {
        let own = compile(&expr(text), KernelOps::ALL).bytecode;
        assert_eq!(own, Some(program.concat()), "{text}");
    }
}
