//! Wrong models: the checks check themselves.

/// A rule of the model turned round: then the model is wrong, and must disagree with the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// Paused subscribers run.
    PauseIsIgnored,
    /// Within a priority, the newest comes first.
    NewestFirst,
    /// A once subscriber runs at every publish.
    OnceIsIgnored,
    /// A publish walks the list as it is, not as it was when the publish began.
    LiveWalk,
    /// Undo goes from the oldest to the newest.
    UndoOldestFirst,
    /// Undo is told to those too that were skipped.
    UndoSkipped,
    /// A stop does not stop.
    StopIsIgnored,
    /// Paused subscribers have no position.
    PausedHaveNoPlace,
    /// Captures stay until the dispatcher goes.
    NothingIsCollected,
    /// Captures are dropped under a publish that may still run them.
    CollectedInside,
    /// A handle that is dropped lets its subscriber stay.
    DropDetaches,
    /// A depth limit of one more.
    OneDeeper,
    /// A moved subscriber keeps its priority.
    MoveKeepsPriority,
    /// What is subscribed in an edit is there at once.
    EditAtOnce,
    /// `cancel` and the like say yes where they only swept what had ended.
    SweepCounts,
    /// What has ended by itself is found until it is swept.
    EndedIsFound,
    /// What is cancelled before its edit is made is registered all the same.
    EditForgetsCancel,
    /// What is detached before its edit is made stays out.
    DetachCancels,
}

impl Twist {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::PauseIsIgnored,
        Self::NewestFirst,
        Self::OnceIsIgnored,
        Self::LiveWalk,
        Self::UndoOldestFirst,
        Self::UndoSkipped,
        Self::StopIsIgnored,
        Self::PausedHaveNoPlace,
        Self::NothingIsCollected,
        Self::CollectedInside,
        Self::DropDetaches,
        Self::OneDeeper,
        Self::MoveKeepsPriority,
        Self::EditAtOnce,
        Self::SweepCounts,
        Self::EndedIsFound,
        Self::EditForgetsCancel,
        Self::DetachCancels,
    ];
}
