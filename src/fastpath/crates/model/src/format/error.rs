//! Why a format string was refused.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatError {
    /// A `%` that begins no command. Holds the text from there.
    Syntax { position: usize, rest: String },
    /// No such operator.
    Unknown { operator: String },
    /// An operator of Envoy's that fastmesh does not have.
    NotImplemented { operator: String },
    /// `REQ` without `(…)`.
    ArgumentsRequired { operator: String },
    /// `PROTOCOL(x)`, `PROTOCOL:3`.
    NoArguments { operator: String },
    /// `START_TIME():3`.
    NoLength { operator: String },
    /// An argument that means nothing to the operator.
    BadArgument {
        operator: String,
        argument: String,
        reason: &'static str,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { position, rest } => write!(
                f,
                "no valid command at position {position} of the format, before {rest:?} (write %% for a percent sign)"
            ),
            Self::Unknown { operator } => write!(f, "unknown format operator {operator}"),
            Self::NotImplemented { operator } => {
                write!(f, "format operator {operator} is not implemented")
            }
            Self::ArgumentsRequired { operator } => {
                write!(f, "format operator {operator} requires parameters")
            }
            Self::NoArguments { operator } => {
                write!(
                    f,
                    "format operator {operator} does not take any parameters or length"
                )
            }
            Self::NoLength { operator } => {
                write!(f, "format operator {operator} does not allow a length")
            }
            Self::BadArgument {
                operator,
                argument,
                reason,
            } => {
                write!(f, "format operator {operator}: {argument:?}: {reason}")
            }
        }
    }
}

impl std::error::Error for FormatError {}
