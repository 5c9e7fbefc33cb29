/// `struct tcp_info`, as long as the kernel at hand makes it: what is missing reads as zero, what
/// is unknown is ignored.
#[derive(Debug, Clone, Copy)]
pub struct TcpInfo;

/// `struct mptcp_info`, read in the same way.
#[derive(Debug, Clone, Copy)]
pub struct MptcpInfo;
