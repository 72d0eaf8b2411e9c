//! What goes wrong, and who is to say so.

use stage::gate::Way;

pub(super) const ALL: &[&str] = &["DbInit", "DmsPre", "DmsPost"];
const DMS: &[&str] = &["DmsPre", "DmsPost"];
const DATABASE: &[&str] = &["DbInit"];

/// A fault, and what is expected of it.
pub(super) struct Fault {
    pub(super) title: &'static str,
    pub(super) what: What,
    /// The resources that it is played on.
    pub(super) resources: &'static [&'static str],
    /// The time that Lambda grants, in seconds.
    pub(super) granted: u64,
    pub(super) voice: Voice,
    /// What the reason has to hold; nothing for a success.
    pub(super) says: &'static str,
}

pub(super) enum What {
    /// The process gets this signal when it has begun to change things.
    Signal(&'static str),
    /// An answer of AWS's takes more memory than there is.
    Memory,
    /// The program can't be executed.
    NoInterpreter,
    /// A variable that Lambda sets is no good, and the process ends before it asks for an event.
    BadEnvironment,
    /// Lambda never calls the function.
    TooOld,
    /// What the function's connections to a neighbour meet.
    Way(Neighbour, &'static [Way]),
    /// What the callback says first.
    Status(u16),
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Neighbour {
    Callback,
    CloudFormation,
    Dms,
    SecretsManager,
    Database,
}

/// Whom CloudFormation hears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Voice {
    Function,
    LastWords,
}

impl Fault {
    /// Whether it can be played here: an address space has no limit everywhere.
    pub(super) fn is_playable(&self) -> bool {
        cfg!(target_os = "linux") || !matches!(self.what, What::Memory)
    }
}

const READING: &str = "reading the stack and its replication tasks: not done when the function's time";

/// In the order of the table.
pub(super) const FAULTS: &[Fault] = &[
    Fault {
        title: "killed in the middle of its work (SIGKILL, which is how Lambda ends what is out of memory)",
        what: What::Signal("KILL"),
        resources: ALL,
        granted: 30,
        voice: Voice::LastWords,
        says: "without an answer: Runtime exited with error: signal: killed",
    },
    Fault {
        title: "aborted in the middle of its work (SIGABRT)",
        what: What::Signal("ABRT"),
        resources: ALL,
        granted: 30,
        voice: Voice::LastWords,
        says: "without an answer: Runtime exited with error: signal: aborted",
    },
    Fault {
        title: "out of memory (an answer of AWS's that does not end, under a limit of the address space)",
        what: What::Memory,
        resources: ALL,
        granted: 30,
        voice: Voice::LastWords,
        says: "without an answer: Runtime exited with error: signal: aborted",
    },
    Fault {
        title: "hung in the middle of its work (SIGSTOP, until Lambda's time-out)",
        what: What::Signal("STOP"),
        resources: ALL,
        granted: 3,
        voice: Voice::LastWords,
        says: "without an answer: Task timed out after 3.00 seconds",
    },
    Fault {
        title: "failed init: the program can't be executed",
        what: What::NoInterpreter,
        resources: ALL,
        granted: 30,
        voice: Voice::LastWords,
        says: "without an answer: fork/exec /var/task/bootstrap: no such file or directory",
    },
    Fault {
        title: "failed init: the process ends before it asks for an event",
        what: What::BadEnvironment,
        resources: ALL,
        granted: 30,
        voice: Voice::LastWords,
        says: "without an answer: Runtime exited with error: exit status 101",
    },
    Fault {
        title: "never started: the event grew too old",
        what: What::TooOld,
        resources: ALL,
        granted: 30,
        voice: Voice::LastWords,
        says: "Lambda did not get to run function ",
    },
    Fault {
        title: "the callback refuses connections",
        what: What::Way(Neighbour::Callback, &[Way::Shut]),
        resources: ALL,
        granted: 4,
        voice: Voice::LastWords,
        says: "a function in a VPC needs a route to S3",
    },
    Fault {
        title: "the callback takes connections and never answers",
        what: What::Way(Neighbour::Callback, &[Way::Silent]),
        resources: ALL,
        granted: 4,
        voice: Voice::LastWords,
        says: "no answer in time",
    },
    Fault {
        title: "the callback takes the answer, but says so too late the first time",
        what: What::Way(Neighbour::Callback, &[Way::Mute, Way::Open]),
        resources: ALL,
        granted: 20,
        voice: Voice::Function,
        says: "",
    },
    Fault {
        title: "the callback answers 403",
        what: What::Status(403),
        resources: ALL,
        granted: 4,
        voice: Voice::LastWords,
        says: "answers with status 403",
    },
    Fault {
        title: "CloudFormation's API refuses connections",
        what: What::Way(Neighbour::CloudFormation, &[Way::Shut]),
        resources: DMS,
        granted: 70,
        voice: Voice::Function,
        says: "the service can't be reached; from a VPC that takes a NAT gateway",
    },
    Fault {
        title: "DMS's API refuses connections",
        what: What::Way(Neighbour::Dms, &[Way::Shut]),
        resources: DMS,
        granted: 70,
        voice: Voice::Function,
        says: "the service can't be reached; from a VPC that takes a NAT gateway",
    },
    Fault {
        title: "Secrets Manager refuses connections",
        what: What::Way(Neighbour::SecretsManager, &[Way::Shut]),
        resources: DATABASE,
        granted: 70,
        voice: Voice::Function,
        says: "Secrets Manager could not be reached",
    },
    Fault {
        title: "the database refuses connections",
        what: What::Way(Neighbour::Database, &[Way::Shut]),
        resources: DATABASE,
        granted: 4,
        voice: Voice::Function,
        says: "Connection refused",
    },
    Fault {
        title: "CloudFormation's API takes connections and never answers",
        what: What::Way(Neighbour::CloudFormation, &[Way::Silent]),
        resources: DMS,
        granted: 4,
        voice: Voice::Function,
        says: READING,
    },
    Fault {
        title: "DMS's API takes connections and never answers",
        what: What::Way(Neighbour::Dms, &[Way::Silent]),
        resources: DMS,
        granted: 4,
        voice: Voice::Function,
        says: READING,
    },
    Fault {
        title: "Secrets Manager takes connections and never answers",
        what: What::Way(Neighbour::SecretsManager, &[Way::Silent]),
        resources: DATABASE,
        granted: 4,
        voice: Voice::Function,
        says: "secret",
    },
    Fault {
        title: "the database takes connections and never answers",
        what: What::Way(Neighbour::Database, &[Way::Silent]),
        resources: DATABASE,
        granted: 16,
        voice: Voice::Function,
        says: "do the route and the security groups let the function in?",
    },
];
