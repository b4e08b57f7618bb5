//! What is wrong with a configuration: always a place and a reason.

use std::fmt;

/// How many problems one check reports before it stops looking.
pub const MAX_PROBLEMS: usize = 100;

/// A problem of one resource: the field path is relative to it (`filter_chains[0].filters`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub path: String,
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

/// A problem of a text: with its file and the 1-based place in it (0: unknown).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigProblem {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub path: String,
    pub reason: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Collects problems under a field path that grows and shrinks as a resource is walked.
#[derive(Debug, Default)]
pub struct Problems {
    path: String,
    list: Vec<Problem>,
}

/// The length of the path to go back to.
#[derive(Debug, Clone, Copy)]
#[must_use = "pass it to `leave`"]
pub struct Level(usize);

impl Problems {
    /// Goes into a field of the current message.
    pub fn enter(&mut self, field: &str) -> Level {
        let level = Level(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(field);
        level
    }

    /// Goes into an element of the current list.
    pub fn enter_index(&mut self, index: usize) -> Level {
        use fmt::Write as _;
        let level = Level(self.path.len());
        // Writing to a String cannot fail.
        let _ = write!(self.path, "[{index}]");
        level
    }

    /// Goes into an element of a list field.
    pub fn enter_item(&mut self, field: &str, index: usize) -> Level {
        let level = self.enter(field);
        let _ = self.enter_index(index);
        level
    }

    /// Goes into an entry of the current map.
    pub fn enter_key(&mut self, key: &str) -> Level {
        use fmt::Write as _;
        let level = Level(self.path.len());
        // Writing to a String cannot fail.
        let _ = write!(self.path, "[{key:?}]");
        level
    }

    pub fn leave(&mut self, level: Level) {
        self.path.truncate(level.0);
    }

    /// Runs `f` inside `field`.
    pub fn within<T>(&mut self, field: &str, f: impl FnOnce(&mut Self) -> T) -> T {
        let level = self.enter(field);
        let out = f(self);
        self.leave(level);
        out
    }

    /// Runs `f` inside `field[index]`.
    pub fn within_item<T>(
        &mut self,
        field: &str,
        index: usize,
        f: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let level = self.enter_item(field, index);
        let out = f(self);
        self.leave(level);
        out
    }

    /// A problem of the place the walk is at.
    pub fn report(&mut self, reason: impl Into<String>) {
        if !self.is_full() {
            self.list.push(Problem {
                path: self.path.clone(),
                reason: reason.into(),
            });
        }
    }

    /// A problem of a field of the message the walk is at.
    pub fn report_at(&mut self, field: &str, reason: impl Into<String>) {
        let level = self.enter(field);
        self.report(reason);
        self.leave(level);
    }

    /// A problem of the place the walk is at, for the caller to keep.
    #[must_use]
    pub fn problem(&self, reason: impl Into<String>) -> Problem {
        Problem {
            path: self.path.clone(),
            reason: reason.into(),
        }
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.list.len() >= MAX_PROBLEMS
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }

    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    #[must_use]
    pub fn into_list(self) -> Vec<Problem> {
        self.list
    }

    /// `value` if nothing was reported.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.list.is_empty() {
            Ok(value)
        } else {
            Err(self.list)
        }
    }
}
