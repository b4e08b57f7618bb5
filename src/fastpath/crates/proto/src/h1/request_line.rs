//! A request head takes over its request line.

use super::error::HeadError;
use super::target::{Form, authority_of, form};
use crate::head::{RequestHead, Span};
use crate::known::Known;
use crate::method::Method;

impl RequestHead {
    /// RFC 9112 §3.2.2: a proxy ignores `host` and takes the authority of the target.
    #[inline(never)]
    pub(crate) fn adopt_authority(&mut self) -> Result<(), HeadError> {
        let target = self.target.of(&self.line);
        let form = form(target, self.kind)?;
        let authority = authority_of(target, &form).ok_or(HeadError::Target)?;
        let adopted = match self.headers.get(Known::Host) {
            Some(host) if host == authority => true,
            Some(_) => self.headers.set(Known::Host, authority),
            None => self.headers.push_known_first(Known::Host, authority),
        };
        if adopted {
            Ok(())
        } else {
            Err(HeadError::HeadTooLarge)
        }
    }

    /// Takes over a request line that was checked: `line` is `METHOD target`.
    #[inline(always)]
    pub(crate) fn begin(&mut self, line: &[u8], kind: Method, method_len: usize, form: &Form) {
        self.clear();
        self.line.extend_from_slice(line);
        self.kind = kind;
        self.method = Span {
            start: 0,
            end: method_len,
        };
        self.target = Span {
            start: method_len.saturating_add(1),
            end: self.line.len(),
        };
        match form {
            Form::Origin => self.path = self.target,
            Form::Authority => {}
            Form::Absolute {
                scheme,
                path_len,
                rooted,
            } => {
                self.scheme = Some(*scheme);
                if *rooted {
                    self.path = Span {
                        start: self.line.len().saturating_sub(*path_len),
                        end: self.line.len(),
                    };
                } else {
                    // `http://host` and `http://host?query`: the path is empty (RFC 9110 §4.2.3);
                    // an OPTIONS without a path asks about the server (RFC 9112 §3.2.4).
                    let start = self.line.len();
                    let query = start.saturating_sub(*path_len)..start;
                    self.line
                        .push(if kind == Method::Options && *path_len == 0 {
                            b'*'
                        } else {
                            b'/'
                        });
                    self.line.extend_from_within(query);
                    self.path = Span {
                        start,
                        end: self.line.len(),
                    };
                }
            }
        }
    }
}
