//! gevent's own modules, as data: what a pass patches, in which order, by which setting.
//!
//! Owns the tables of S-109, S-115 and S-126, recorded from gevent 26.9.0 on CPython 3.11. The names of functions are data: what
//! matters is that a model of gevent gives every recording with them.

/// A module that passes patch.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) module: &'static str,
    pub(crate) source: &'static str,
    /// The switch that it goes by.
    pub(crate) setting: &'static str,
    pub(crate) items: &'static [&'static str],
}

/// In the order in which a pass goes through them.
pub(crate) static BUILTINS: [Builtin; 11] = [
    Builtin {
        module: "os",
        source: "gevent.os",
        setting: "os",
        items: &["fork", "close", "forkpty", "waitpid", "posix_spawn", "posix_spawnp"],
    },
    Builtin {
        module: LOW_THREAD,
        source: "gevent.thread",
        setting: "thread",
        items: &[
            "allocate_lock",
            "get_ident",
            "exit",
            "LockType",
            "stack_size",
            "start_new_thread",
            "_local",
        ],
    },
    Builtin {
        module: THREADING,
        source: "gevent.threading",
        setting: "thread",
        items: &[
            "local",
            "_allocate_lock",
            "Lock",
            "_DummyThread",
            "_start_new_thread",
            "Thread",
            "Timer",
            "_set_sentinel",
            "get_ident",
            "_CRLock",
        ],
    },
    Builtin { module: "time", source: "gevent.time", setting: "time", items: &["sleep"] },
    Builtin {
        module: SOCKET,
        source: "gevent.socket",
        setting: "socket",
        items: &[
            "create_connection",
            "socket",
            "SocketType",
            "fromfd",
            "socketpair",
            "getaddrinfo",
            "gethostbyname",
            "gethostbyname_ex",
            "gethostbyaddr",
            "getnameinfo",
            "getfqdn",
        ],
    },
    Builtin { module: "select", source: "gevent.select", setting: "select", items: &["select", "poll"] },
    Builtin {
        module: "selectors",
        source: "gevent.selectors",
        setting: "select",
        items: &["DefaultSelector"],
    },
    Builtin {
        module: "ssl",
        source: "gevent.ssl",
        setting: "ssl",
        items: &["SSLContext", "SSLSocket", "get_server_certificate", "wrap_socket"],
    },
    Builtin {
        module: "subprocess",
        source: "gevent.subprocess",
        setting: "subprocess",
        items: &[
            "Popen",
            "call",
            "check_call",
            "check_output",
            "_posixsubprocess",
            "run",
            "CompletedProcess",
            "_use_posix_spawn",
            "_USE_POSIX_SPAWN",
            "_fork_exec",
        ],
    },
    Builtin {
        module: "signal",
        source: "gevent.signal",
        setting: "signal",
        items: &["signal", "getsignal", "set_wakeup_fd"],
    },
    Builtin {
        module: "queue",
        source: "gevent._gevent_cqueue",
        setting: "queue",
        items: &["SimpleQueue", "PriorityQueue", "LifoQueue", "Queue"],
    },
];

pub(crate) const LOW_THREAD: &str = "_thread";
pub(crate) const THREADING: &str = "threading";
pub(crate) const SOCKET: &str = "socket";

/// The names of `socket` that `dns` is about.
pub(crate) static DNS: [&str; 6] =
    ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "getfqdn"];

/// The arguments of a pass with their defaults.
pub(crate) static SETTINGS: [(&str, bool); 15] = [
    ("socket", true),
    ("dns", true),
    ("time", true),
    ("select", true),
    ("thread", true),
    ("os", true),
    ("ssl", true),
    ("subprocess", true),
    ("sys", false),
    ("aggressive", true),
    ("Event", true),
    ("builtins", true),
    ("signal", true),
    ("queue", true),
    ("contextvars", true),
];

/// Where gevent keeps the settings of passes: under a name as if it were a module (S-124).
pub(crate) const SETTINGS_MODULE: &str = "_gevent_saved_patch_all_module_settings";

/// What patching a module replaces or removes besides what is listed (S-108): module, name, and the option that it takes.
pub(crate) static UNLISTED: [(&str, &str, &str, Option<&str>); 6] = [
    (THREADING, "_threading_local", "local", None),
    (THREADING, THREADING, "_shutdown", None),
    (THREADING, THREADING, "Event", Some("Event")),
    (THREADING, "logging", "_lock", Some("logging")),
    ("select", "select", "epoll", Some("aggressive")),
    ("selectors", "selectors", "EpollSelector", Some("aggressive")),
];

/// The modules of a single function, with what it is a function of.
pub(crate) fn of_function(function: &str) -> Option<Function> {
    let setting = function.strip_prefix("patch_")?;
    Some(match setting {
        "all" => Function::All,
        "dns" => Function::Dns,
        "builtins" | "sys" | "contextvars" => {
            Function::Nothing(SETTINGS.iter().find(|(name, _)| *name == setting)?.0)
        }
        "thread" => Function::Thread,
        module => Function::Module(BUILTINS.iter().find(|builtin| builtin.module == module)?),
    })
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    All,
    /// The names of `socket` that `dns` is about, and no others.
    Dns,
    /// There is nothing to it any more (S-102).
    Nothing(&'static str),
    /// Two modules in one (S-105).
    Thread,
    Module(&'static Builtin),
}
