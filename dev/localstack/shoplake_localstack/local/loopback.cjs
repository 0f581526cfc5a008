// kinesis-local listens on every interface and has no setting for it. Node loads this file first
// (NODE_OPTIONS=--require). It makes every server of the process listen on the loopback interface,
// so that other machines cannot reach the local Kinesis.
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
