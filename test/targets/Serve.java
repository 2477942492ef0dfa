import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.concurrent.Executors;

/** Servers with state: each request is answered with how many there have been. Usage: Serve http|lines PORT. */
public class Serve {
    private static int count = 0;

    private static synchronized byte[] answer() {
        return ("answer " + ++count + "\n").getBytes();
    }

    private static void http(InetSocketAddress address) throws IOException {
        HttpServer server = HttpServer.create(address, 0);
        server.setExecutor(Executors.newFixedThreadPool(2));
        server.createContext("/", exchange -> {
            byte[] body = answer();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.println("ready");
    }

    private static void lines(InetSocketAddress address) throws IOException {
        Selector selector = Selector.open();
        ServerSocketChannel server = ServerSocketChannel.open().bind(address);
        server.configureBlocking(false);
        server.register(selector, SelectionKey.OP_ACCEPT);
        System.out.println("ready");
        ByteBuffer buffer = ByteBuffer.allocate(1000);
        for (;;) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel client = server.accept();
                    client.configureBlocking(false);
                    client.register(selector, SelectionKey.OP_READ);
                    continue;
                }
                SocketChannel client = (SocketChannel) key.channel();
                if (client.read(buffer.clear()) < 0) {
                    client.close();
                    System.out.println("closed");
                    continue;
                }
                buffer.flip();
                while (buffer.hasRemaining()) {
                    if (buffer.get() == '\n') client.write(ByteBuffer.wrap(answer()));
                }
            }
            selector.selectedKeys().clear();
        }
    }

    public static void main(String[] arguments) throws IOException {
        InetSocketAddress address =
            new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[1]));
        if (arguments[0].equals("http")) http(address);
        else lines(address);
    }
}
