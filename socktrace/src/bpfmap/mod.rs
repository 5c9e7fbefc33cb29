//! Maps of socket-local BPF storage: what the kernel tells of them, and their values as text.
//!
//! [`print`] writes a value as text, in terms of the types that the map was declared with. Knows
//! neither sockets nor columns.

mod print;

use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use rustc_hash::FxHashMap;
use rustix::io::Errno;

pub use print::Layout;
pub(crate) use print::{bits, signed, unsigned};

use crate::bpf;
use crate::btf::Btf;

const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_BTF_GET_FD_BY_ID: libc::c_int = 19;
const BPF_MAP_TYPE_SK_STORAGE: u32 = 24;

/// Why a map that was asked for cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    #[error("cannot get fd for BPF map ID {id}: {errno}{}", hint(*errno))]
    Open { id: u32, errno: Errno },
    #[error("cannot get info for BPF map ID {id}: {errno}")]
    Info { id: u32, errno: Errno },
    #[error("BPF map ID {id} holds no socket-local storage (its type is {kind})")]
    Kind { id: u32, kind: u32 },
}

fn hint(errno: Errno) -> &'static str {
    if errno == Errno::PERM { " (it takes CAP_SYS_ADMIN)" } else { "" }
}

/// A map that is open, for a request that selects it.
#[derive(Debug)]
pub struct StorageMap {
    fd: OwnedFd,
}

impl StorageMap {
    pub fn open(id: u32) -> Result<StorageMap, MapError> {
        let fd = open(BPF_MAP_GET_FD_BY_ID, id).map_err(|errno| MapError::Open { id, errno })?;
        let info = map_info(&fd).map_err(|errno| MapError::Info { id, errno })?;
        if info.kind != BPF_MAP_TYPE_SK_STORAGE {
            return Err(MapError::Kind { id, kind: info.kind });
        }
        Ok(StorageMap { fd })
    }

    pub fn raw_fd(&self) -> u32 {
        self.fd.as_raw_fd().cast_unsigned()
    }
}

/// The value types of maps by their id, each asked for once.
#[derive(Debug, Default)]
pub struct ValueTypes {
    known: RefCell<FxHashMap<u32, Option<Rc<ValueType>>>>,
}

#[derive(Debug)]
struct ValueType {
    btf: Btf,
    id: u32,
    size: u32,
}

impl ValueTypes {
    /// Appends a value in terms of its type; false if the type is not known or is of another size.
    #[must_use]
    pub fn write(&self, map: u32, value: &[u8], layout: Layout, out: &mut Vec<u8>) -> bool {
        self.with(map, value, |btf, id| print::value(btf, id, value, layout, out)).unwrap_or(false)
    }

    /// Hands the type of a value to `read`; `None` if it is not known or is of another size.
    pub(crate) fn with<R>(
        &self,
        map: u32,
        value: &[u8],
        read: impl FnOnce(&Btf, u32) -> R,
    ) -> Option<R> {
        let known = self.known.borrow_mut().entry(map).or_insert_with(|| fetch(map)).clone()?;
        (known.size as usize == value.len()).then(|| read(&known.btf, known.id))
    }
}

fn fetch(map: u32) -> Option<Rc<ValueType>> {
    let fd = open(BPF_MAP_GET_FD_BY_ID, map).ok()?;
    let info = map_info(&fd).ok()?;
    let btf = open(BPF_BTF_GET_FD_BY_ID, info.btf_id).ok()?;
    let btf = Btf::parse(&btf_bytes(&btf).ok()?)?;
    Some(Rc::new(ValueType { btf, id: info.value_type, size: info.value_size }))
}

struct MapInfo {
    kind: u32,
    value_size: u32,
    btf_id: u32,
    value_type: u32,
}

fn map_info(fd: &OwnedFd) -> Result<MapInfo, Errno> {
    // The first fields of struct bpf_map_info, as words.
    let mut info = [0u32; 20];
    object_info(fd, &mut info)?;
    Ok(MapInfo { kind: info[0], value_size: info[3], btf_id: info[16], value_type: info[18] })
}

fn btf_bytes(fd: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut info = [0u32; 4];
    object_info(fd, &mut info)?;
    let mut bytes = vec![0u8; info[2] as usize];
    let pointer = (bytes.as_mut_ptr() as u64).to_ne_bytes();
    let word = |at: usize| {
        u32::from_ne_bytes([pointer[at], pointer[at + 1], pointer[at + 2], pointer[at + 3]])
    };
    info = [word(0), word(4), info[2], 0];
    // `bytes` has the size that the kernel is told, and outlives the call.
    object_info(fd, &mut info)?;
    Ok(bytes)
}

/// Opens the object with an id.
fn open(command: libc::c_int, id: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = [id, 0, 0, 0];
    // SAFETY: the attributes hold no pointer.
    unsafe { bpf::open(command, &mut attributes) }
}

/// Fills `info`, a structure that may hold a pointer to memory that the kernel writes.
fn object_info<const N: usize>(fd: &OwnedFd, info: &mut [u32; N]) -> Result<(), Errno> {
    let pointer = (info.as_mut_ptr() as u64).to_ne_bytes();
    let (low, high) = pointer.split_at(4);
    let word = |half: &[u8]| u32::from_ne_bytes([half[0], half[1], half[2], half[3]]);
    let length = u32::try_from(size_of::<[u32; N]>()).unwrap_or(u32::MAX);
    let mut attributes = [fd.as_raw_fd().cast_unsigned(), length, word(low), word(high)];
    // SAFETY: `info` has the length that is told; a pointer in it is to memory of its caller.
    unsafe { bpf::call(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }.map(|_| ())
}
