//! Limits: shares of what a made-up machine has, in both versions of cgroups; and pressure as it is written there.
#![cfg(any(target_os = "linux", target_os = "android"))]

use signalpost::monitor::{MemoryError, MemoryLimit, MemoryPressure, PressureError, PressureWatch};
use signalpost::{Bus, BusStop};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A folder with files, removed at the end.
struct Machine(PathBuf);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let machine = Self(std::env::temp_dir().join(format!("signalpost-limit-{}-{number}", process::id())));
        files.iter().for_each(|(path, text)| machine.write(path, text));
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn all_of_cgroup(&self) -> Result<Option<u64>, String> {
        MemoryLimit::ShareOfCgroup(1.0).resolve_under(&self.0).map_err(|error| {
            error
                .to_string()
                .replace(&format!("{}/", self.0.display()), "/")
                .replace(&*self.0.to_string_lossy(), "/")
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MOUNT_V2: &str = "25 20 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const MOUNTS_V1: &str = "30 20 0:9 / /proc rw - proc proc rw\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory\n\
    32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
    41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

#[test]
fn of_nested_cgroups_the_smallest_limit_holds() {
    let machine = Machine::new(&[
        ("proc/self/cgroup", "0::/app.slice/web.service/worker\n"),
        ("proc/self/mountinfo", MOUNT_V2),
        ("sys/fs/cgroup/app.slice/memory.max", "1073741824\n"),
        ("sys/fs/cgroup/app.slice/web.service/memory.max", "536870912\n"),
        ("sys/fs/cgroup/app.slice/web.service/worker/memory.max", "max\n"),
        ("sys/fs/cgroup/other.slice/memory.max", "1\n"),
    ]);
    assert_eq!(machine.all_of_cgroup(), Ok(Some(512 << 20)));
    machine.write("sys/fs/cgroup/app.slice/memory.max", "1048576\n");
    assert_eq!(machine.all_of_cgroup(), Ok(Some(1 << 20)));
    let half = MemoryLimit::ShareOfCgroup(0.5).resolve_under(&machine.0).unwrap();
    assert_eq!(half, Some(1 << 19));
}

#[test]
fn version_1_is_looked_at_where_memory_is_limited_by_it() {
    let machine = Machine::new(&[
        ("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/abc\n1:cpu:/x\n0::/\n"),
        ("proc/self/mountinfo", MOUNTS_V1),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "9223372036854710272\n"),
        ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "268435456\n"),
        ("sys/fs/cgroup/cpu/memory.limit_in_bytes", "7\n"),
    ]);
    assert_eq!(machine.all_of_cgroup(), Ok(Some(256 << 20)));
}

#[test]
fn in_a_container_the_mount_shows_the_cgroup_itself_or_hides_the_way_up() {
    let machine = Machine::new(&[
        ("proc/self/cgroup", "0::/docker/abc/job\n"),
        ("proc/self/mountinfo", &MOUNT_V2.replace(" / /sys", " /docker/abc /sys")),
        ("sys/fs/cgroup/memory.max", "3000\n"),
        ("sys/fs/cgroup/job/memory.max", "max\n"),
    ]);
    assert_eq!(machine.all_of_cgroup(), Ok(Some(3000)));
    for hidden in ["0::/../../job\n", "0::/..\n"] {
        machine.write("proc/self/cgroup", hidden);
        assert_eq!(machine.all_of_cgroup(), Ok(Some(3000)), "{hidden:?}");
    }
}

#[test]
fn a_mount_point_may_have_blanks() {
    let machine = Machine::new(&[
        ("proc/self/cgroup", "0::/a:b\n"),
        ("proc/self/mountinfo", &MOUNT_V2.replace("/sys/fs/cgroup", r"/my\040cgroups")),
        ("my cgroups/a:b/memory.max", "77\n"),
    ]);
    assert_eq!(machine.all_of_cgroup(), Ok(Some(77)));
}

#[test]
fn without_a_limit_the_error_says_what_was_found_where() {
    let machine = Machine::new(&[
        ("proc/self/cgroup", "0::/app\n"),
        ("proc/self/mountinfo", MOUNT_V2),
        ("sys/fs/cgroup/app/memory.max", "max\n"),
    ]);
    assert_eq!(
        machine.all_of_cgroup().unwrap_err(),
        "no cgroup limits this process's memory: /sys/fs/cgroup/app/memory.max: \"max\", which is no limit, \
         /sys/fs/cgroup/memory.max: not there"
    );
    machine.write("proc/self/mountinfo", &MOUNT_V2.replace(" / /sys", " /elsewhere /sys"));
    assert_eq!(
        machine.all_of_cgroup().unwrap_err(),
        "no cgroup limits this process's memory: /sys/fs/cgroup: /app is not in what is mounted there"
    );
    machine.write("proc/self/mountinfo", "");
    assert_eq!(
        machine.all_of_cgroup().unwrap_err(),
        "no cgroup limits this process's memory: none with a memory controller is mounted"
    );
}

#[test]
fn what_cannot_be_understood_is_an_error_with_file_and_content() {
    let machine = Machine::new(&[
        ("proc/self/cgroup", "0::/\n"),
        ("proc/self/mountinfo", MOUNT_V2),
        ("sys/fs/cgroup/memory.max", "lots\n"),
        ("proc/meminfo", "MemFree: 12 kB\n"),
    ]);
    assert_eq!(
        machine.all_of_cgroup().unwrap_err(),
        "/sys/fs/cgroup/memory.max: expected a number of bytes, or `max`, found \"lots\\n\""
    );
    let error = MemoryLimit::ShareOfRam(0.5).resolve_under(&machine.0).unwrap_err();
    assert!(error.to_string().ends_with("expected a line `MemTotal: N kB`, found \"MemFree: 12 kB\\n\""));
    let error = MemoryLimit::ShareOfRam(0.5).resolve_under(Path::new("/nowhere at all")).unwrap_err();
    assert!(matches!(&error, MemoryError::Unreadable { .. }), "{error}");
    assert!(error.to_string().starts_with("/nowhere at all/proc/meminfo: "), "{error}");
}

#[test]
fn shares_of_ram() {
    let machine = Machine::new(&[("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 12 kB\n")]);
    let share = |share| MemoryLimit::ShareOfRam(share).resolve_under(&machine.0);
    assert_eq!(share(1.0).unwrap(), Some(16 << 20));
    assert_eq!(share(0.25).unwrap(), Some(4 << 20));
    assert_eq!(share(f64::MIN_POSITIVE).unwrap(), Some(1), "a share is never off");
    for wrong in [0.0, -0.5, 1.001, f64::NAN, f64::INFINITY] {
        assert!(matches!(share(wrong), Err(MemoryError::Share { .. })), "{wrong}");
        let of_cgroup = MemoryLimit::ShareOfCgroup(wrong).resolve_under(&machine.0);
        assert!(matches!(of_cgroup, Err(MemoryError::Share { .. })), "{wrong}");
    }
}

#[test]
fn this_machines_own_files_are_understood() {
    assert!(MemoryLimit::ShareOfRam(1.0).resolve().unwrap().unwrap() > 1 << 20);
    match MemoryLimit::ShareOfCgroup(1.0).resolve() {
        Ok(limit) => assert!(limit.unwrap() > 1 << 20),
        Err(MemoryError::NoCgroupLimit { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

fn psi(some: &str) -> String {
    format!(
        "some avg10={some} avg60=1.00 avg300=0.10 total=12\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=3\n"
    )
}

#[test]
fn pressure_is_told_once_and_again_after_it_has_been_below_half() {
    let machine = Machine::new(&[("pressure", &psi("0.00"))]);
    let (bus, told) = (Bus::new(), std::sync::Arc::new(AtomicU32::new(0)));
    let counted = told.clone();
    let _sub = bus.topic::<MemoryPressure>().subscribe(move |event| {
        assert_eq!((event.threshold, event.full_avg10), (10.0, 0.5));
        counted.fetch_add(1, Relaxed);
    });
    let mut watch = PressureWatch::of_file(machine.0.join("pressure"), 10.0).unwrap();
    let mut at = |some: &str| {
        machine.write("pressure", &psi(some));
        watch.check(&bus).unwrap().map(|event| event.some_avg10)
    };
    assert_eq!(
        ["9.99", "10.00", "30.00", "5.00", "12.00"].map(&mut at),
        [None, Some(10.0), None, None, None]
    );
    assert_eq!(["4.99", "10.00"].map(&mut at), [None, Some(10.0)]);
    assert_eq!(told.load(Relaxed), 2);
}

#[test]
fn pressure_that_a_subscriber_stops_is_an_error_and_not_told_again() {
    let machine = Machine::new(&[("pressure", &psi("20.00"))]);
    let bus = Bus::new();
    let _sub = bus.subscribe(|_| Err(BusStop::fail("later")));
    let mut watch = PressureWatch::of_file(machine.0.join("pressure"), 10.0).unwrap();
    assert!(matches!(watch.check(&bus), Err(PressureError::Stopped(_))));
    assert_eq!(watch.check(&bus).unwrap(), None);
}

#[test]
fn where_there_is_no_pressure_it_is_said() {
    let machine =
        Machine::new(&[("broken", "some avg10=x\n"), ("short", "some avg10=1 avg60=1 avg300=1 total=1\n")]);
    let file = |name: &str, threshold| PressureWatch::of_file(machine.0.join(name), threshold).unwrap_err();
    assert!(matches!(file("absent", 10.0), PressureError::Absent { .. }));
    assert!(file("absent", 10.0).to_string().contains("needs Linux 4.20 with CONFIG_PSI"));
    for broken in ["broken", "short"] {
        let error = file(broken, 10.0).to_string();
        assert!(error.contains("expected lines `some avg10=N"), "{error}");
    }
    for wrong in [0.0, -1.0, 100.1, f64::NAN] {
        assert!(matches!(file("absent", wrong), PressureError::Threshold(_)), "{wrong}");
    }
}
