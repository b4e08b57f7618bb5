use crate::resources::route::RouteConfig;
pub enum Found { Route{virtual_host:usize, route:usize}, RequireTls{virtual_host:usize}, Nothing }
pub fn find(_c:&RouteConfig,_r:&proto::h1::RequestHead,_x:u64)->Found{Found::Route{virtual_host:0,route:0}}
impl RouteConfig { pub fn empty(_n:&std::sync::Arc<str>)->Self{ loop{} } }
