//! Plants faults in the protocol, one at a time, and says which model noticed each.
//!
//! Without arguments all of them; else those that are named, as in `weaken Light WriterPin`. Ends with status 1 if one
//! went unnoticed.

#[cfg(not(signalpost_loom))]
fn main() -> std::process::ExitCode {
    use signalpost_core::sync::Plant;
    use signalpost_loom_tests::runner;
    use std::process::ExitCode;

    let mut plants = Vec::new();
    for name in std::env::args().skip(1) {
        let Some(plant) = Plant::ALL.iter().find(|plant| plant.name() == name) else {
            let names: Vec<_> = Plant::ALL.iter().map(|plant| plant.name()).collect();
            eprintln!("no such fault: {name}; there are {}", names.join(" "));
            return ExitCode::from(2);
        };
        plants.push(*plant);
    }
    let models = match runner::build() {
        Ok(models) => models,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let report = models.weaken(if plants.is_empty() { Plant::ALL } else { &plants });
    print!("{}", report.table);
    ExitCode::from(u8::from(!report.wrong.is_empty()))
}

/// The models that this command runs are built on loom's types; the command itself is not.
#[cfg(signalpost_loom)]
fn main() {
    eprintln!("build this without --cfg signalpost_loom: it builds the models itself");
}
