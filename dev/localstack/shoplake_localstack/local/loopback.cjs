// kinesis-local listens on every interface and has no setting for it. Loaded into Node before it (NODE_OPTIONS=--require),
// this makes every server of the process listen on the loopback interface instead: a laptop's Kinesis is nobody else's.
const net = require('node:net');

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (port, host, ...rest) {
    if (typeof port === 'object') {
        return listen.call(this, port.path ? port : { ...port, host: '127.0.0.1' }, host, ...rest);
    }
    if (typeof host === 'string') {
        return listen.call(this, port, '127.0.0.1', ...rest);
    }
    return listen.call(this, port, '127.0.0.1', host, ...rest);
};
