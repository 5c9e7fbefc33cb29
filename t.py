import socket,struct,time
l=socket.socket(); l.bind(("127.0.0.1",0)); l.listen()
c=socket.socket(); c.connect(l.getsockname()); a,_=l.accept()
print("cookie %x %x"%(struct.unpack("Q",c.getsockopt(1,57,8))[0],struct.unpack("Q",a.getsockopt(1,57,8))[0]))
c.sendall(b"x"*1000); a.recv(1000); c.close(); a.close()
try: socket.create_connection(("127.0.0.1",1))
except Exception as e: print(e)
l.close()
