//! The rules, a file per theme. [`RULES`] is the table that everything else reads: the judge, the
//! help, the documentation's test.

mod accept;
mod churn;
mod close_wait;
mod connects;
mod datagrams;
mod exposure;
mod loss;
mod ownership;
mod ports;
mod queues;
mod resources;
mod teardown;
#[cfg(test)]
mod tests;

use super::rule::Rule;

/// Every rule, causes before what follows from them.
pub static RULES: &[&Rule] = &[
    &accept::ACCEPT_QUEUE,
    &ports::EPHEMERAL_PORTS,
    &close_wait::CLOSE_WAIT,
    &resources::PROCESS_DESCRIPTORS,
    &resources::DESCRIPTOR_GROWTH,
    &resources::HOST_DESCRIPTORS,
    &resources::TCP_MEMORY,
    &exposure::LOOPBACK_ONLY,
    &queues::SLOW_READER,
    &datagrams::UNIX_ACCEPT_QUEUE,
    &accept::SYN_BACKLOG,
    &connects::CONNECT_FAILED,
    &connects::CONNECT_UNANSWERED,
    &queues::ZERO_WINDOW,
    &queues::STUCK_SENDER,
    &loss::RETRANSMITS,
    &churn::CHURN,
    &datagrams::UDP_DROPS,
    &datagrams::NETLINK_DROPS,
    &queues::RECEIVER_LIMITED,
    &queues::SEND_BUFFER_LIMITED,
    &teardown::ORPHANS,
    &teardown::FIN_WAIT_2,
    &teardown::LAST_ACK,
    &exposure::EXPOSED,
    &ownership::DELETED_EXECUTABLE,
    &ownership::UNOWNED_LISTENER,
    &ownership::LISTENER_UID,
    &ports::TIME_WAIT,
];
