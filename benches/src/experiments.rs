//! The experiments that share a report and a document: `lab`, `lab paths`, `registration`, `churn`, `watch-cost`, `slots`, `all`.
//!
//! Owns which of them a command line asks for, and their order.

use crate::{
    churn,
    cli::{ChurnArgs, CommonArgs, PathsArgs, RegistrationArgs, SlotsArgs, WatchCostArgs},
    exit::Performed,
    figures, handoff,
    output::Rows,
    registration, report,
    session::Session,
    slots, stop, survey, takes,
    target::{self, Target},
    watch,
};

/// Bytes that the calling thread holds of the heap; the program's allocator counts them.
pub type Held = fn() -> isize;

/// What to run, with its settings checked.
#[derive(Debug)]
pub struct Experiments {
    common: CommonArgs,
    survey: Option<(survey::Settings, usize)>,
    handoff: Option<handoff::Settings>,
    registration: Option<registration::Settings>,
    churn: Option<churn::Settings>,
    watch_cost: Option<watch::cost::Settings>,
    slots: Option<slots::Settings>,
}

impl Experiments {
    const fn none(common: CommonArgs) -> Self {
        Self {
            common,
            survey: None,
            handoff: None,
            registration: None,
            churn: None,
            watch_cost: None,
            slots: None,
        }
    }

    /// `lab paths`.
    ///
    /// # Errors
    /// In words, when there is nothing to measure.
    pub fn paths(args: &PathsArgs) -> Result<Self, String> {
        let survey = Some((args.settings()?, args.processes()));
        Ok(Self { survey, handoff: args.handoff(), ..Self::none(args.common.clone()) })
    }

    /// `lab registration`.
    pub fn registration(args: &RegistrationArgs, held: Held) -> Self {
        Self { registration: Some(args.settings(held)), ..Self::none(args.common.clone()) }
    }

    /// `lab churn`.
    pub fn churn(args: &ChurnArgs) -> Self {
        Self { churn: Some(args.settings()), ..Self::none(args.common.clone()) }
    }

    /// `lab watch-cost`.
    pub fn watch_cost(args: &WatchCostArgs) -> Self {
        Self { watch_cost: Some(args.settings()), ..Self::none(args.common.clone()) }
    }

    /// `lab slots`.
    pub fn slots(args: &SlotsArgs) -> Self {
        Self { slots: Some(args.settings()), ..Self::none(args.common.clone()) }
    }

    /// `lab all`.
    ///
    /// # Errors
    /// As [`paths`](Self::paths).
    pub fn all(common: &CommonArgs, held: Held) -> Result<Self, String> {
        Ok(Self {
            registration: Some(RegistrationArgs::defaults(common).settings(held)),
            churn: Some(ChurnArgs::defaults(common).settings()),
            watch_cost: Some(WatchCostArgs::defaults(common).settings()),
            slots: Some(SlotsArgs::defaults(common).settings()),
            ..Self::paths(&PathsArgs::defaults(common))?
        })
    }

    /// Runs what was asked for, prints each report as soon as it is there, writes the numbers.
    ///
    /// # Errors
    /// In words, when something cannot be started, printed or written.
    pub fn perform(&self) -> Performed {
        let mut session = Session::open(&self.common)?;
        let mut document = session.document();
        let mut targets: Vec<Target> = Vec::new();
        let colour = session.colour;
        if let Some((settings, processes)) = &self.survey {
            let measured = takes::run(settings, *processes, &session.progress)?;
            session.print(&report::survey(&measured, settings.plan.rounds, *processes, colour));
            targets.extend(target::of_survey(&measured));
            document.measures.extend(measured.measures(settings.plan.rounds));
            document.rows = Rows::Paths(measured.rows());
            document.rounds = Some(settings.plan.rounds * processes);
            document.processes = Some(*processes);
        }
        if let Some(settings) = self.handoff.as_ref().filter(|_| !stop::is_asked()) {
            let outcome = settings.run(&session.progress);
            session.print(&outcome.report(colour));
            targets.extend(outcome.targets());
            document.measures.extend(figures::handoff(&outcome));
            document.handoff = Some(outcome);
        }
        if let Some(settings) = self.registration.as_ref().filter(|_| !stop::is_asked()) {
            let outcome = settings.run(&session.progress);
            session.print(&outcome.report(colour));
            targets.extend(outcome.targets());
            document.measures.extend(figures::registration(&outcome));
            document.registration = Some(outcome);
        }
        if let Some(settings) = self.churn.as_ref().filter(|_| !stop::is_asked()) {
            let outcome = settings.run(&session.progress);
            session.print(&outcome.report(colour));
            targets.extend(outcome.targets());
            document.measures.extend(figures::churn(&outcome));
            document.churn = Some(outcome);
        }
        if let Some(settings) = self.watch_cost.as_ref().filter(|_| !stop::is_asked()) {
            let outcome = settings
                .run(&session.progress)
                .map_err(|error| format!("cannot measure what watching costs: {error}"))?;
            session.print(&outcome.report(colour));
            targets.extend(outcome.targets());
            document.measures.extend(figures::watch_cost(&outcome));
            document.watch_cost = Some(outcome);
        }
        if let Some(settings) = self.slots.as_ref().filter(|_| !stop::is_asked()) {
            let outcome = settings.run(&session.progress)?;
            session.print(&outcome.report(colour));
            targets.extend(outcome.targets());
            if self.survey.is_none() {
                document.rows = Rows::Slots(outcome.rows.clone());
            }
            document.measures.extend(figures::slots(&outcome));
            document.slots = Some(outcome);
        }
        document.partial = stop::is_asked();
        if document.partial && document.is_empty() {
            session.print("\n  interrupted before the first round was complete: nothing was measured\n");
        } else {
            session.print(&report::targets(&targets, colour));
        }
        document.targets = targets;
        session.close(&document)
    }
}
