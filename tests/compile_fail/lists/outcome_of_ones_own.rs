//! There are no other outcomes.
use signalpost::Outcome;

struct Mine;

impl Outcome<String> for Mine {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
