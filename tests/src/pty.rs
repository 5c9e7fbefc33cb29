//! Running a program on a pseudo-terminal of a given width.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::compare::Listing;

/// Starts `command` on a terminal `columns` wide, which is gone when its descriptor is closed.
pub fn start(mut command: Command, columns: u16) -> (Child, OwnedFd) {
    let (terminal, screen) = open(columns).expect("no pseudo-terminal");
    let child = command
        .stdin(Stdio::null())
        .stdout(screen)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // With the command goes the last descriptor of the screen: reading ends when the child does.
    (child, terminal)
}

/// Gives the terminal another width.
pub fn resize(terminal: &OwnedFd, columns: u16) {
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).expect("a terminal has a size");
}

/// What `command` prints on a terminal `columns` wide.
pub fn run(command: Command, columns: u16) -> Listing {
    let (mut child, terminal) = start(command, columns);
    let pid = child.id();
    let mut stdout = Vec::new();
    match File::from(terminal).read_to_end(&mut stdout) {
        // How a terminal says that its other side is closed.
        Err(error) if error.raw_os_error() == Some(libc::EIO) => {}
        other => drop(other.expect("the terminal can be read")),
    }
    let mut stderr = Vec::new();
    let mut pipe = child.stderr.take().expect("it is piped");
    pipe.read_to_end(&mut stderr).expect("stderr can be read");
    let status = child.wait().expect("a child can be waited for");
    Listing { pid, stdout, stderr, status }
}

/// Both sides, without any translation of what is written.
pub fn open(columns: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut terminal, mut screen) = (0, 0);
    // SAFETY: openpty fills both descriptors, which are then ours, and reads `size`.
    let (terminal, screen) = unsafe {
        let name = std::ptr::null_mut();
        let result =
            libc::openpty(&mut terminal, &mut screen, name, std::ptr::null(), &raw const size);
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        (OwnedFd::from_raw_fd(terminal), OwnedFd::from_raw_fd(screen))
    };
    let mut modes = tcgetattr(&screen)?;
    modes.make_raw();
    tcsetattr(&screen, OptionalActions::Now, &modes)?;
    // A child that inherits the reading side would keep its own terminal open.
    for side in [&terminal, &screen] {
        rustix::io::fcntl_setfd(side, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((terminal, screen))
}
