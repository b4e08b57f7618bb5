//! `Http2ProtocolOptions`, of connection managers and of clusters.

use envoy_types::pb::envoy::config::core::v3 as pb;
use envoy_types::pb::google::protobuf::UInt32Value;

use super::duration::millis;
use crate::problem::Problems;
use crate::resources::http::{Http2Options, Keepalive};

/// Envoy's default of `interval_jitter`, per cent.
const JITTER: f64 = 15.0;

/// The options in a message that the caller has entered. `stream_error` is the connection
/// manager's `stream_error_on_invalid_http_message`, which counts where the options do not say;
/// without it the deprecated field of the options does.
pub(super) fn options(
    message: Option<&pb::Http2ProtocolOptions>,
    stream_error: Option<bool>,
    problems: &mut Problems,
) -> Http2Options {
    let default = Http2Options::default();
    let Some(message) = message else {
        return Http2Options {
            stream_error_on_invalid_http_message: stream_error.unwrap_or(false),
            ..default
        };
    };
    let number = |value: &Option<UInt32Value>, default| value.as_ref().map_or(default, |v| v.value);
    let own = message
        .override_stream_error_on_invalid_http_message
        .as_ref()
        .map(|v| v.value);
    let keepalive = message.connection_keepalive.as_ref();
    Http2Options {
        hpack_table_size: number(&message.hpack_table_size, default.hpack_table_size),
        max_concurrent_streams: number(
            &message.max_concurrent_streams,
            default.max_concurrent_streams,
        ),
        initial_stream_window_size: number(
            &message.initial_stream_window_size,
            default.initial_stream_window_size,
        ),
        initial_connection_window_size: number(
            &message.initial_connection_window_size,
            default.initial_connection_window_size,
        ),
        allow_connect: message.allow_connect,
        max_outbound_frames: number(&message.max_outbound_frames, default.max_outbound_frames),
        max_outbound_control_frames: number(
            &message.max_outbound_control_frames,
            default.max_outbound_control_frames,
        ),
        max_consecutive_inbound_frames_with_empty_payload: number(
            &message.max_consecutive_inbound_frames_with_empty_payload,
            default.max_consecutive_inbound_frames_with_empty_payload,
        ),
        max_inbound_priority_frames_per_stream: number(
            &message.max_inbound_priority_frames_per_stream,
            default.max_inbound_priority_frames_per_stream,
        ),
        max_inbound_window_update_frames_per_data_frame_sent: number(
            &message.max_inbound_window_update_frames_per_data_frame_sent,
            default.max_inbound_window_update_frames_per_data_frame_sent,
        ),
        stream_error_on_invalid_http_message: own
            .or(stream_error)
            .unwrap_or(message.stream_error_on_invalid_http_messaging),
        keepalive: keepalive
            .and_then(|k| problems.within("connection_keepalive", |p| self::keepalive(k, p))),
    }
}

/// Pings at an interval, after idleness, or both. With neither the timeout has nothing to bound.
fn keepalive(message: &pb::KeepaliveSettings, problems: &mut Problems) -> Option<Keepalive> {
    let interval = millis("interval", message.interval.as_ref(), problems);
    let idle = message.connection_idle_interval.as_ref();
    let idle = millis("connection_idle_interval", idle, problems);
    let timeout = millis("timeout", message.timeout.as_ref(), problems)?;
    if interval.is_none() && idle.is_none() {
        return None;
    }
    let jitter = message.interval_jitter.as_ref().map_or(JITTER, |p| p.value);
    Some(Keepalive {
        interval,
        timeout,
        // Between 0 and 100, by its rule.
        interval_jitter_percent: jitter.round() as u32,
        connection_idle_interval: idle,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seconds(seconds: i64) -> Option<envoy_types::pb::google::protobuf::Duration> {
        Some(envoy_types::pb::google::protobuf::Duration { seconds, nanos: 0 })
    }

    fn compile(message: &pb::Http2ProtocolOptions, stream_error: Option<bool>) -> Http2Options {
        let mut problems = Problems::default();
        let options = options(Some(message), stream_error, &mut problems);
        assert_eq!(problems.into_list(), []);
        options
    }

    #[test]
    fn nothing_given_is_envoys_defaults() {
        let empty = pb::Http2ProtocolOptions::default();
        assert_eq!(compile(&empty, None), Http2Options::default());
    }

    #[test]
    fn who_says_what_an_invalid_message_does() {
        use envoy_types::pb::google::protobuf::BoolValue;
        // (own, deprecated, the connection manager's) → stream error
        let cases = [
            (None, false, None, false),
            (None, true, None, true),
            (None, true, Some(false), false),
            (None, false, Some(true), true),
            (Some(false), true, Some(true), false),
            (Some(true), false, Some(false), true),
        ];
        for (own, deprecated, manager, expected) in cases {
            let message = pb::Http2ProtocolOptions {
                override_stream_error_on_invalid_http_message: own.map(|value| BoolValue { value }),
                stream_error_on_invalid_http_messaging: deprecated,
                ..pb::Http2ProtocolOptions::default()
            };
            let options = compile(&message, manager);
            let case = format!("{own:?} {deprecated} {manager:?}");
            assert_eq!(
                options.stream_error_on_invalid_http_message, expected,
                "{case}"
            );
        }
    }

    #[test]
    fn keepalive_needs_something_to_ping_for() {
        let message = |interval, connection_idle_interval| pb::Http2ProtocolOptions {
            connection_keepalive: Some(pb::KeepaliveSettings {
                interval,
                timeout: seconds(3),
                interval_jitter: None,
                connection_idle_interval,
            }),
            ..pb::Http2ProtocolOptions::default()
        };
        assert_eq!(compile(&message(None, None), None).keepalive, None);
        let keepalive = compile(&message(seconds(30), seconds(9)), None).keepalive;
        let expected = Keepalive {
            interval: Some(Duration::from_secs(30)),
            timeout: Duration::from_secs(3),
            interval_jitter_percent: 15,
            connection_idle_interval: Some(Duration::from_secs(9)),
        };
        assert_eq!(keepalive, Some(expected));
    }
}
