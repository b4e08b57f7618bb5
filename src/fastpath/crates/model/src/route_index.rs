#[derive(Debug,Default)] pub struct RouteIndex;
