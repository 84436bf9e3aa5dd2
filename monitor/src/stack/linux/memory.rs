//! This process's memory, read so that an address where there is none is an answer and not a fault.
//!
//! Owns that reading, for the monitor's thread. Not here: the copy of a stack by the thread itself (`signal.rs`).

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

/// Fills `to` from `address` on; false, if not all of it can be read.
pub(super) fn read(address: u64, to: &mut [u8]) -> bool {
    let len = to.len();
    let from = RemoteIoVec { base: address as usize, len };
    match process_vm_readv(Pid::this(), &mut [IoSliceMut::new(to)], &[from]) {
        Ok(read) => read == len,
        // A sandbox that knows no such call may still have the file.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            File::open("/proc/self/mem").is_ok_and(|memory| memory.read_exact_at(to, address).is_ok())
        }
        Err(_) => false,
    }
}

/// So many bytes from there on.
pub(super) fn bytes(address: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    read(address, &mut bytes).then_some(bytes)
}

/// The `N` bytes there.
pub(super) fn array<const N: usize>(address: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read(address, &mut bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{array, bytes};

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_no_fault() {
        let here = 0x0123_4567_89ab_cdef_u64;
        assert_eq!(array(std::ptr::from_ref(&here) as u64), Some(here.to_ne_bytes()));
        assert_eq!(array::<8>(16), None);
        assert_eq!(bytes(u64::MAX - 64, 8), None);
    }
}
