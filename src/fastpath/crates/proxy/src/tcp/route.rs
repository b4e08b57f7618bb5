//! Which cluster a tunnel goes to, and which of its hosts may take it.

use std::sync::Arc;

use model::resources::cluster::Metadata;
use model::resources::tcp_proxy::{TcpCluster, TcpProxy, TcpWeightedCluster};

/// A cluster's name, and what the metadata of its hosts has to say.
pub type Route<'a> = (Arc<str>, Option<&'a Metadata>);

/// `server_name`: the cluster, where `sni_cluster` says so and the client named one.
pub fn choose<'a>(
    config: &'a TcpProxy,
    server_name: Option<&str>,
    random: &mut fastrand::Rng,
) -> Option<Route<'a>> {
    if let Some(name) = server_name.filter(|name| !name.is_empty()) {
        return Some((Arc::from(name), config.metadata_match.as_ref()));
    }
    match &config.cluster {
        TcpCluster::Named(name) => Some((Arc::clone(name), config.metadata_match.as_ref())),
        TcpCluster::Weighted { clusters, total } => {
            let chosen = weighted(clusters, random.u64(..(*total).max(1)))?;
            Some((Arc::clone(&chosen.name), chosen.metadata_match.as_ref()))
        }
    }
}

/// The cluster in whose share `at` lies.
fn weighted(clusters: &[TcpWeightedCluster], at: u64) -> Option<&TcpWeightedCluster> {
    let mut end = 0_u64;
    clusters.iter().find(|cluster| {
        end = end.saturating_add(cluster.weight.into());
        at < end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, weight: u32) -> TcpWeightedCluster {
        TcpWeightedCluster {
            name: name.into(),
            weight,
            metadata_match: None,
        }
    }

    #[test]
    fn each_cluster_has_its_share() {
        let clusters = [cluster("a", 1), cluster("b", 3)];
        let names: Vec<_> = (0..5)
            .map(|at| weighted(&clusters, at).map(|c| &*c.name))
            .collect();
        assert_eq!(names, [Some("a"), Some("b"), Some("b"), Some("b"), None]);
    }
}
