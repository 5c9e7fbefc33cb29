//! Compiles an expression to INET_DIAG bytecode, which the kernel runs on each IP socket of a dump.
//!
//! A program is a chain of conditions. One that holds goes on to the next; one that fails jumps
//! forward, past the end by one more word to refuse the socket. The kernel demands that the chain
//! of "holds" visits every instruction, so only failures jump.

use std::net::IpAddr;

use super::tree::{Compare, Expr, Host, Port, Predicate, Prefix, Side};

const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const AUTO: u8 = 6;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const MARK_COND: u8 = 10;
const CGROUP_COND: u8 = 13;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The length of `struct inet_diag_bc_op` without operands.
const OP: usize = 4;
/// What a program may take: a jump has 16 bits, and so has the length of the attribute around it.
const MAX_PROGRAM: usize = 0xf000;

/// The instructions that not every kernel (or user) has. The others are as old as sock_diag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelOps {
    /// Linux 4.8; an older one answers EINVAL.
    pub device: bool,
    /// Linux 4.9, and only for CAP_NET_ADMIN: EPERM otherwise.
    pub mark: bool,
    /// Linux 5.8, built with CONFIG_SOCK_CGROUP_DATA.
    pub cgroup: bool,
}

impl KernelOps {
    pub const ALL: KernelOps = KernelOps { device: true, mark: true, cgroup: true };
    /// What every kernel takes from everyone, for a second try when the kernel refuses a program.
    pub const BASIC: KernelOps = KernelOps { device: false, mark: false, cgroup: false };
}

/// An expression divided between the kernel and here, for the tables of IP sockets.
///
/// A socket passes the expression if the kernel's program passes it (or there is none) and then
/// `rest` holds (or there is none). Sockets of other families, of a text source, and of SCTP, whose
/// program would run on other addresses than those it reports, are for the whole expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushdown {
    pub bytecode: Option<Vec<u8>>,
    pub rest: Option<Expr>,
}

/// Divides an expression so that the kernel judges what it can.
///
/// A part of which the kernel can judge only some is sent weakened, to spare the transport of
/// what cannot match, and judged here again. So is `autobound`: the kernel knows whether the port
/// was asked for, `ss` also wants it in the ephemeral range, and both must agree.
pub fn compile(expr: &Expr, ops: KernelOps) -> Pushdown {
    let parts = match expr {
        Expr::And(parts) => &parts[..],
        other => std::slice::from_ref(other),
    };
    let mut program = Program { bytes: Vec::new(), jumps: Vec::new(), ops };
    let refuse = program.label();
    let mut rest: Option<Expr> = None;
    for part in parts {
        let before = (program.bytes.len(), program.jumps.len());
        program.part(part, Polarity::Straight, refuse);
        let fits = program.bytes.len() <= MAX_PROGRAM;
        if !fits {
            program.truncate(before);
        }
        if !fits || part.mentions(&|predicate| !ops.decides(predicate)) {
            let part = part.clone();
            rest = Some(match rest {
                Some(rest) => rest.and(part),
                None => part,
            });
        }
    }
    let end = program.bytes.len();
    program.bind(refuse, end + OP);
    Pushdown { bytecode: (end > 0).then_some(program.bytes), rest }
}

impl KernelOps {
    /// Whether the kernel's word on the predicate is final.
    pub(super) fn decides(self, predicate: &Predicate) -> bool {
        match predicate {
            Predicate::Host { .. } | Predicate::Port { .. } => true,
            Predicate::Device { .. } => self.device,
            Predicate::Mark { .. } => self.mark,
            Predicate::Cgroup { .. } => self.cgroup,
            Predicate::Autobound
            | Predicate::Number { .. }
            | Predicate::Name { .. }
            | Predicate::Path { .. }
            | Predicate::Protocol(_)
            | Predicate::State { .. } => false,
        }
    }
}

/// Whether what is compiled stands under an even or an odd number of negations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Polarity {
    Straight,
    Negated,
}

impl Polarity {
    fn flip(self) -> Polarity {
        match self {
            Polarity::Straight => Polarity::Negated,
            Polarity::Negated => Polarity::Straight,
        }
    }
}

/// Where failing conditions jump to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Label(usize);

struct Program {
    bytes: Vec<u8>,
    /// For each label the instructions that jump to it.
    jumps: Vec<Vec<usize>>,
    ops: KernelOps,
}

impl Program {
    fn label(&mut self) -> Label {
        self.jumps.push(Vec::new());
        Label(self.jumps.len() - 1)
    }

    fn bind(&mut self, label: Label, target: usize) {
        for at in std::mem::take(&mut self.jumps[label.0]) {
            // Programs are shorter than 64 KB; one that is not is truncated before it is bound.
            let distance = u16::try_from(target - at).unwrap_or(u16::MAX);
            self.bytes[at + 2..at + OP].copy_from_slice(&distance.to_ne_bytes());
        }
    }

    /// Forgets what was compiled since the program had this length and so many labels.
    fn truncate(&mut self, (length, labels): (usize, usize)) {
        self.bytes.truncate(length);
        self.jumps.truncate(labels);
        for sources in &mut self.jumps {
            sources.retain(|at| *at < length);
        }
    }

    /// Goes on after its end if the expression holds, else to `fail`.
    fn part(&mut self, expr: &Expr, polarity: Polarity, fail: Label) {
        match expr {
            Expr::And(parts) => {
                for part in parts {
                    self.part(part, polarity, fail);
                }
            }
            Expr::Or(parts) => {
                let done = self.label();
                for (i, part) in parts.iter().enumerate() {
                    if i + 1 == parts.len() {
                        self.part(part, polarity, fail);
                    } else {
                        let next = self.label();
                        self.part(part, polarity, next);
                        self.jump(done);
                        self.bind(next, self.bytes.len());
                    }
                }
                self.bind(done, self.bytes.len());
            }
            Expr::Not(inner) => {
                let holds = self.label();
                self.part(inner, polarity.flip(), holds);
                self.jump(fail);
                self.bind(holds, self.bytes.len());
            }
            Expr::Pred(predicate) => self.predicate(predicate, polarity, fail),
        }
    }

    fn predicate(&mut self, predicate: &Predicate, polarity: Polarity, fail: Label) {
        match predicate {
            Predicate::Host { side, host: Host::Any { port } } => {
                self.port(*side, Compare::Equal, *port, fail);
            }
            Predicate::Host { side, host: Host::Inet { prefix, port } } => {
                self.host(*side, Some(*prefix), *port, fail);
            }
            // No IP socket has an address of another family.
            Predicate::Host { .. } => self.jump(fail),
            Predicate::Port { side, compare, port } => self.port(*side, *compare, *port, fail),
            Predicate::Device { ifindex, .. } if self.ops.device => {
                self.op(DEV_COND, &ifindex.to_ne_bytes(), fail);
            }
            Predicate::Mark { value, mask } if self.ops.mark => {
                let mut operand = [0; 8];
                operand[..4].copy_from_slice(&value.to_ne_bytes());
                operand[4..].copy_from_slice(&mask.to_ne_bytes());
                self.op(MARK_COND, &operand, fail);
            }
            Predicate::Cgroup { id, .. } if self.ops.cgroup => {
                self.op(CGROUP_COND, &id.to_ne_bytes(), fail);
            }
            Predicate::Autobound => self.op(AUTO, &[], fail),
            // What the kernel cannot judge must not refuse a socket: the condition counts as
            // holding, or under a negation as failing.
            Predicate::Device { .. }
            | Predicate::Mark { .. }
            | Predicate::Cgroup { .. }
            | Predicate::Number { .. }
            | Predicate::Name { .. }
            | Predicate::Path { .. }
            | Predicate::Protocol(_)
            | Predicate::State { .. } => {
                if polarity == Polarity::Negated {
                    self.jump(fail);
                }
            }
        }
    }

    fn port(&mut self, side: Side, compare: Compare, port: Port, fail: Label) {
        let (low, high) = match compare {
            Compare::Equal if port.is_any() => return,
            Compare::Equal => (i64::from(port.0), i64::from(port.0)),
            Compare::Greater => (i64::from(port.0) + 1, i64::MAX),
            Compare::GreaterOrEqual => (i64::from(port.0), i64::MAX),
            Compare::Less => (i64::MIN, i64::from(port.0) - 1),
            Compare::LessOrEqual => (i64::MIN, i64::from(port.0)),
        };
        let (low, high) = (low.max(0), high.min(u16::MAX.into()));
        if low > high {
            return self.jump(fail);
        }
        if low == high {
            return self.host(side, None, Port(low as i32), fail);
        }
        let (least, most) = match side {
            Side::Source => (S_GE, S_LE),
            Side::Destination => (D_GE, D_LE),
        };
        if low > 0 {
            self.compare_port(least, low as u16, fail);
        }
        if high < u16::MAX.into() {
            self.compare_port(most, high as u16, fail);
        }
    }

    /// The port stands in the jump field of a second instruction that is not executed.
    fn compare_port(&mut self, code: u8, port: u16, fail: Label) {
        let [first, second] = port.to_ne_bytes();
        self.op(code, &[0, 0, first, second], fail);
    }

    /// `struct inet_diag_hostcond`.
    fn host(&mut self, side: Side, prefix: Option<Prefix>, port: Port, fail: Label) {
        let mut operand = [0; 24];
        let (family, length, address) = match prefix {
            None => (AF_UNSPEC, 0, 0),
            Some(Prefix { address: IpAddr::V4(address), length }) => {
                operand[8..12].copy_from_slice(&address.octets());
                (AF_INET, length, 4)
            }
            Some(Prefix { address: IpAddr::V6(address), length }) => {
                operand[8..24].copy_from_slice(&address.octets());
                (AF_INET6, length, 16)
            }
        };
        operand[0] = family;
        operand[1] = length;
        operand[4..8].copy_from_slice(&port.0.to_ne_bytes());
        let code = match side {
            Side::Source => S_COND,
            Side::Destination => D_COND,
        };
        self.op(code, &operand[..8 + address], fail);
    }

    fn jump(&mut self, target: Label) {
        self.op(JMP, &[], target);
    }

    fn op(&mut self, code: u8, operand: &[u8], fail: Label) {
        self.jumps[fail.0].push(self.bytes.len());
        let length = (OP + operand.len()) as u8;
        self.bytes.extend_from_slice(&[code, length, 0, 0]);
        self.bytes.extend_from_slice(operand);
    }
}
